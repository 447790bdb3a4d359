// An answer: words as Markdown, pictures and sounds from their blobs, rows of a table as a list,
// findings folded away.
import type { RenderMimeRegistry } from '@jupyterlab/rendermime';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import React, { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { Blocks } from './blocks';
import { answerRenderer, renderAnswer } from '../common/renderer';
import { answersOf } from '../common/rows';
import type { TableRow } from '../protocol';
import type { IRealm, Part } from '../tokens';
import { RowList } from './rows';

/** Words, rendered by JupyterLab with our parser and sanitiser, one rendering at a time. */
const Markdown = React.memo(function Markdown(props: { registry: RenderMimeRegistry; text: string }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const latest = useRef(props.text);
  const render = useRef<() => void>(() => undefined);
  latest.current = props.text;
  // Layout effects are undone while the host is still in the page, which Lumino insists on.
  useLayoutEffect(() => {
    const renderer = answerRenderer(props.registry);
    let shown: string | null = null;
    let busy = false;
    render.current = () => {
      if (busy || shown === latest.current || renderer.isDisposed) {
        return;
      }
      busy = true;
      shown = latest.current;
      void renderAnswer(renderer, shown).finally(() => {
        busy = false;
        render.current();
      });
    };
    Widget.attach(renderer, host.current!);
    return () => renderer.dispose();
  }, [props.registry]);
  useEffect(() => render.current(), [props.text, props.registry]);
  return <div className="jp-mtor-markdown" ref={host} />;
});

/** Words that still come: what stands of them is not rendered again with each that is new. */
function GrowingMarkdown(props: { registry: RenderMimeRegistry; text: string }): JSX.Element {
  const blocks = useRef(new Blocks());
  return (
    <>
      {blocks.current.take(props.text).map((text, index) => (
        <Markdown key={index} registry={props.registry} text={text} />
      ))}
    </>
  );
}

/** The parts of an answer, in their order; those about rows are one list. */
export function Answer(props: {
  realm: IRealm;
  registry: RenderMimeRegistry;
  parts: ReadonlyArray<Part>;
  /** The rows of a table that were asked about, where that is known. */
  asked?: ReadonlyArray<TableRow>;
  /** More of it comes. */
  grows?: boolean;
  trans: TranslationBundle;
}): JSX.Element {
  const { asked, grows, trans } = props;
  const Words = grows ? GrowingMarkdown : Markdown;
  const rows = props.parts.findIndex(part => part.type === 'rows');
  return (
    <>
      {props.parts.map((part, index) => {
        switch (part.type) {
          case 'text':
            return <Words key={index} registry={props.registry} text={part.text} />;
          case 'image':
            return <Media key={index} realm={props.realm} blob={part.blob} kind="image" />;
          case 'audio':
            return <Media key={index} realm={props.realm} blob={part.blob} kind="audio" />;
          case 'rows':
            return index === rows ? (
              <RowList key={index} answers={answersOf(props.parts)} {...{ asked, grows, trans }} />
            ) : null;
          default:
            return <Findings key={index} value={part.value} trans={trans} />;
        }
      })}
    </>
  );
}

/** A blob that can be seen or heard. */
export function Media(props: {
  realm: IRealm;
  blob: string;
  kind: 'image' | 'audio';
  /** What is to be seen, for those who do not see it. */
  alt?: string;
}): JSX.Element {
  const { realm, blob, kind } = props;
  const [url, setUrl] = useState('');
  const [trouble, setTrouble] = useState('');
  useEffect(() => {
    let made = '';
    let gone = false;
    realm.download(blob).then(
      content => {
        if (!gone) {
          made = URL.createObjectURL(content);
          setUrl(made);
        }
      },
      (reason: Error) => setTrouble(reason.message)
    );
    return () => {
      gone = true;
      URL.revokeObjectURL(made);
    };
  }, [realm, blob]);
  if (trouble) {
    return <p className="jp-mtor-trouble">{trouble}</p>;
  }
  if (!url) {
    return <p className="jp-mtor-quiet">…</p>;
  }
  return kind === 'image' ? (
    <img className="jp-mtor-picture" src={url} alt={props.alt ?? ''} />
  ) : (
    <audio className="jp-mtor-sound" src={url} controls />
  );
}

/** Structured findings, folded away. */
function Findings(props: { value: unknown; trans: TranslationBundle }): JSX.Element {
  return (
    <details className="jp-mtor-findings">
      <summary>{props.trans.__('Details')}</summary>
      <pre>{JSON.stringify(props.value, null, 1)}</pre>
    </details>
  );
}
