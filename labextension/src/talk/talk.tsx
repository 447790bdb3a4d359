// The conversation: what was said, what is being said, and what to say next.
import type { RenderMimeRegistry } from '@jupyterlab/rendermime';
import type { Contents } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import {
  clearIcon,
  closeIcon,
  codeIcon,
  copyIcon,
  addBelowIcon,
  pasteIcon,
  runIcon,
  stopIcon
} from '@jupyterlab/ui-components';
import React, { useCallback, useEffect, useLayoutEffect, useReducer, useRef, useState } from 'react';
import { IconButton } from '../common/button';
import { credits, span } from '../common/figures';
import { useSignals } from '../common/hooks';
import { useLoaded } from '../common/loading';
import type { IQuote, IRealm, IRunning } from '../tokens';
import type { Assistant } from '../voice/assistant';
import { VoiceBar } from '../voice/bar';
import { Answer } from './answer';
import { codeOf } from './code';
import type { Conversation, IAttachment, ITurn } from './conversation';
import { useDrops } from './drops';
import type { INotebookSide } from '../notebook';

/** What the tab needs of the panel. */
export interface ITalkProps {
  realm: IRealm;
  registry: RenderMimeRegistry;
  conversation: Conversation;
  notebook: INotebookSide | null;
  /** The files of the lab. */
  contents: Contents.IManager | null;
  assistant: Assistant | null;
  trans: TranslationBundle;
}

/** How long nobody may type before the price is asked for. */
const QUOTE_MS = 400;
/** So many turns are shown at first, and more with each wish for earlier ones. */
const SHOWN = 40;
/** So near to its end, a list of turns follows what is added. */
const NEAR_PX = 48;

export function Talk(props: ITalkProps): JSX.Element {
  const { conversation, trans } = props;
  useSignals(conversation.changed);
  return (
    <div className="jp-mtor-talk">
      <Turns {...props} />
      <Composer {...props} />
      <div className="jp-mtor-sr" role="status" aria-live="polite">
        {conversation.running ? trans.__('The answer is being written.') : ''}
      </div>
    </div>
  );
}

function Turns(props: ITalkProps): JSX.Element {
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

/** Whoever asks knows who else sees it. */
function PromptsShown(props: ITalkProps): JSX.Element {
  const { realm, trans } = props;
  useSignals(realm.connectionChanged);
  return realm.welcome?.prompts_shown ? (
    <p className="jp-mtor-quiet" role="note">
      {trans.__('The sysops of this realm see the first words of what you ask.')}
    </p>
  ) : (
    <></>
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
          <IconButton
            icon={copyIcon}
            label={trans.__('Copy the answer')}
            onClick={() => void navigator.clipboard.writeText(text)}
          />
          {notebook && (
            <IconButton
              icon={addBelowIcon}
              label={trans.__('Insert the answer into the notebook')}
              onClick={() => notebook.insert(text, 'markdown')}
            />
          )}
          {notebook && code && (
            <IconButton
              icon={codeIcon}
              label={trans.__('Insert its code into the next cell')}
              onClick={() => notebook.insert(code, 'code')}
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
  useSignals(running.changed);
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

/** Say in a few words what a query waits for. */
export function stageOf(running: IRunning, trans: TranslationBundle): string {
  switch (running.stage) {
    case 'sending':
      return trans.__('Sending…');
    case 'queued':
      if (running.position === null) {
        return trans.__('Waiting…');
      }
      return running.eta === null
        ? trans.__('Waiting: %1 before you', running.position)
        : trans.__('Waiting: %1 before you, about %2', running.position, span(running.eta));
    case 'running':
      if (running.fraction !== null) {
        return `${Math.round(100 * running.fraction)} % ${running.note}`;
      }
      return trans.__('Thinking…');
    default:
      return '';
  }
}

function Composer(props: ITalkProps): JSX.Element {
  const { conversation, realm, notebook, trans } = props;
  const [trouble, setTrouble] = useState('');
  const form = useRef<HTMLFormElement>(null);
  const attach = useCallback((one: IAttachment) => conversation.attach(one), [conversation]);
  useDrops(form, props.contents, trans, attach, setTrouble);
  const running = conversation.running;
  const prompt = conversation.prompt;
  // At once, not with the next frame: a text field must not lag behind its typing.
  const [, render] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    conversation.written.connect(render);
    return () => {
      conversation.written.disconnect(render);
    };
  }, [conversation]);

  const send = useCallback(async () => {
    if (!prompt.trim() && conversation.attachments.length === 0) {
      return;
    }
    try {
      setTrouble('');
      const asked = conversation.send(prompt);
      conversation.prompt = '';
      await asked;
    } catch (error) {
      conversation.prompt = prompt;
      setTrouble((error as Error).message);
    }
  }, [prompt, conversation]);

  const onKeyDown = (event: React.KeyboardEvent): void => {
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      if (!running) {
        void send();
      }
    } else if (event.key === 'Escape' && running) {
      conversation.stop();
    }
  };
  const attachFiles = (files: Iterable<File>): boolean => {
    let any = false;
    for (const file of files) {
      any = true;
      if (/^(image|audio)\//.test(file.type)) {
        conversation.attach({ name: file.name, content: file });
      } else {
        void file.text().then(content => conversation.attach({ name: file.name, content }));
      }
    }
    return any;
  };

  return (
    <form
      className="jp-mtor-composer"
      ref={form}
      onSubmit={event => {
        event.preventDefault();
        void send();
      }}
      onDragOver={event => event.preventDefault()}
      onDrop={event => {
        if (attachFiles(event.dataTransfer.files)) {
          event.preventDefault();
        }
      }}
    >
      {trouble && (
        <p className="jp-mtor-trouble" role="alert">
          {trouble}
        </p>
      )}
      {conversation.attachments.length > 0 && (
        <ul className="jp-mtor-attachments" aria-label={trans.__('Attached')}>
          {conversation.attachments.map((one, index) => (
            <li key={index}>
              {one.name}
              <IconButton
                icon={closeIcon}
                label={trans.__('Take %1 off', one.name)}
                onClick={() => conversation.detach(one)}
              />
            </li>
          ))}
        </ul>
      )}
      <textarea
        className="jp-mtor-prompt"
        aria-label={trans.__('Your question')}
        placeholder={trans.__('Ask, or drop a file here')}
        rows={3}
        value={prompt}
        onChange={event => {
          conversation.prompt = event.target.value;
        }}
        onKeyDown={onKeyDown}
        onPaste={event => {
          if (attachFiles(event.clipboardData.files)) {
            event.preventDefault();
          }
        }}
      />
      {props.assistant && <VoiceBar assistant={props.assistant} trans={trans} />}
      <div className="jp-mtor-bar">
        <ModelPicker {...props} />
        <Price realm={realm} conversation={conversation} prompt={prompt} trans={trans} />
        <span className="jp-mtor-space" />
        <IconButton
          icon={clearIcon}
          label={trans.__('New conversation')}
          onClick={() => conversation.forget()}
        />
        {notebook && (
          <IconButton
            icon={pasteIcon}
            label={trans.__('Attach the selected cell')}
            onClick={() => {
              const cell = notebook.cell();
              if (cell) {
                conversation.attach(cell);
              }
            }}
          />
        )}
        {running ? (
          <IconButton
            icon={stopIcon}
            label={trans.__('Stop the answer')}
            onClick={() => conversation.stop()}
          />
        ) : (
          <IconButton icon={runIcon} label={trans.__('Send')} onClick={() => void send()} />
        )}
      </div>
    </form>
  );
}

/** The models that talk, and the names that stand for them. */
function ModelPicker(props: ITalkProps): JSX.Element {
  const { conversation, realm, trans } = props;
  useSignals(realm.connectionChanged);
  // Who serves what may have changed by the time that somebody looks at the list.
  const [looks, look] = useReducer((count: number) => count + 1, 0);
  // What goes wrong here, the connection's own state tells.
  const { value: models } = useLoaded(() => realm.models(), [], [realm, realm.connection, looks]);
  const talking = models.filter(one => one.modality === 'chat' || one.modality === 'vision');
  const known = talking.some(one => one.name === conversation.model);
  return (
    <select
      className="jp-mtor-select"
      aria-label={trans.__('Model')}
      onFocus={look}
      value={conversation.model}
      title={talking.find(one => one.name === conversation.model)?.description}
      onChange={event => {
        conversation.model = event.target.value;
      }}
    >
      {!known && <option value={conversation.model}>{conversation.model}</option>}
      {talking.map(one => (
        <option key={one.name} value={one.name}>
          {one.stands_for?.length ? `${one.name} → ${one.stands_for[0]}` : one.name}
          {one.slots ? '' : ` (${trans.__('nobody serves it now')})`}
        </option>
      ))}
    </select>
  );
}

/** What the question would cost at most, and how long it would wait. */
function Price(props: {
  realm: IRealm;
  conversation: Conversation;
  prompt: string;
  trans: TranslationBundle;
}): JSX.Element {
  const { realm, conversation, prompt, trans } = props;
  const [quote, setQuote] = useState<IQuote | null>(null);
  const model = conversation.model;
  useEffect(() => {
    setQuote(null);
    if (!prompt.trim()) {
      return;
    }
    let gone = false;
    const timer = window.setTimeout(() => {
      realm.quote(conversation.draft(prompt)).then(
        found => gone || setQuote(found),
        () => undefined // sending says what is wrong
      );
    }, QUOTE_MS);
    return () => {
      gone = true;
      window.clearTimeout(timer);
    };
  }, [realm, conversation, prompt, model]);
  if (!quote) {
    return <span className="jp-mtor-quiet" />;
  }
  const wait = quote.eta_seconds ? trans.__('about %1 to wait', span(quote.eta_seconds)) : '';
  return (
    <span className="jp-mtor-quiet" title={trans.__('What the question costs at most')}>
      ≤ {credits(quote.hold_micro)} {wait && `· ${wait}`}
    </span>
  );
}
