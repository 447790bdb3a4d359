// The turns of the conversation, the last of which may still be growing.
import { addBelowIcon, codeIcon } from '@jupyterlab/ui-components';
import React, { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { IconButton } from '../common/button';
import { credits, span } from '../common/figures';
import { usePaced } from '../common/hooks';
import type { IRunning } from '../tokens';
import { Answer } from './answer';
import { codeOf } from './code';
import { Copy } from './copy';
import type { ITurn } from './conversation';
import { PromptsShown } from './shown';
import { stageOf } from './stage';
import type { ITalkProps } from './talk';

/** So many turns are shown at first, and more with each wish for earlier ones. */
const SHOWN = 40;
/** So near to its end, a list of turns follows what is added. */
const NEAR_PX = 48;

export function Turns(props: ITalkProps): JSX.Element {
  const { conversation, trans } = props;
  const list = useRef<HTMLDivElement>(null);
  const follow = useRef(true);
  const [most, setMost] = useState(SHOWN);
  const { turns } = conversation;
  const first = Math.max(0, turns.length - most);
  useEffect(() => {
    if (turns.length === 0) {
      setMost(SHOWN);
    }
  }, [turns.length]);
  const onScroll = (): void => {
    const node = list.current!;
    follow.current = node.scrollHeight - node.scrollTop - node.clientHeight < NEAR_PX;
  };
  useLayoutEffect(() => {
    const node = list.current!;
    const observer = new ResizeObserver(() => {
      if (follow.current) {
        node.scrollTop = node.scrollHeight;
      }
    });
    observer.observe(node.firstElementChild!);
    return () => observer.disconnect();
  }, []);
  return (
    <div
      className="jp-mtor-turns"
      ref={list}
      onScroll={onScroll}
      role="log"
      aria-label={trans.__('Conversation')}
      tabIndex={0}
    >
      <div>
        {first > 0 && (
          <button
            type="button"
            className="jp-mtor-more"
            onClick={() => {
              follow.current = false;
              setMost(most + SHOWN);
            }}
          >
            {trans.__('Show earlier turns')}
          </button>
        )}
        {turns.length === 0 && (
          <p className="jp-mtor-quiet jp-mtor-welcome">
            {trans.__('Ask the realm anything. It is shared: your turn comes in the order of fairness.')}
          </p>
        )}
        <PromptsShown {...props} />
        {turns
          .slice(first)
          .map(turn =>
            turn.running ? (
              <Growing key={turn.number} {...props} running={turn.running} />
            ) : (
              <Said key={turn.number} {...props} turn={turn} />
            )
          )}
      </div>
    </div>
  );
}

/** A turn that will not change any more. */
const Said = React.memo(function Said(props: ITalkProps & { turn: ITurn }): JSX.Element {
  const { turn, realm, registry, trans, notebook } = props;
  const text = turn.parts.map(part => (part.type === 'text' ? part.text : '')).join('');
  const code = codeOf(text);
  return (
    <article className={`jp-mtor-turn jp-mtor-${turn.role}`}>
      <h3 className="jp-mtor-sr">{turn.role === 'user' ? trans.__('You') : trans.__('The realm')}</h3>
      <Answer {...{ realm, registry, trans }} parts={turn.parts} />
      {turn.trouble && <p className="jp-mtor-trouble">{turn.trouble}</p>}
      {turn.role === 'assistant' && text && (
        <footer>
          {turn.took && (
            <span className="jp-mtor-quiet">
              {turn.took.model} · {span(turn.took.seconds)} ·{' '}
              {trans.__('%1 credits', credits(turn.took.micro))}
            </span>
          )}
          <Copy text={text} trans={trans} />
          {notebook && (
            <IconButton
              icon={addBelowIcon}
              label={trans.__('Insert the answer into the notebook')}
              onClick={() => void notebook.insert(text, 'markdown')}
            />
          )}
          {notebook && code && (
            <IconButton
              icon={codeIcon}
              label={trans.__('Insert its code into the next cell')}
              onClick={() => void notebook.insert(code, 'code')}
            />
          )}
        </footer>
      )}
    </article>
  );
});

/** An answer under way. */
function Growing(props: ITalkProps & { running: IRunning }): JSX.Element {
  const { running, realm, registry, trans } = props;
  usePaced(running.changed);
  return (
    <article className="jp-mtor-turn jp-mtor-assistant" aria-busy="true">
      <h3 className="jp-mtor-sr">{trans.__('The realm')}</h3>
      {running.requeued && <p className="jp-mtor-quiet">{running.requeued}</p>}
      <Answer {...{ realm, registry, trans }} parts={running.parts} grows />
      {running.parts.length === 0 && <p className="jp-mtor-quiet">{stageOf(running, trans)}</p>}
      {running.preview && (
        <img className="jp-mtor-picture" src={`data:image/png;base64,${running.preview}`} alt="" />
      )}
    </article>
  );
}
