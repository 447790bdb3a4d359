// Words become a picture, which sharpens as it is drawn.
import type { TranslationBundle } from '@jupyterlab/translation';
import { addBelowIcon, downloadIcon, stopIcon } from '@jupyterlab/ui-components';
import React, { useState } from 'react';
import { IconButton } from '../common/button';
import { credits, span } from '../common/figures';
import { useSignals } from '../common/hooks';
import type { INotebookSide } from '../notebook';
import { troubleOf } from '../running';
import { Media } from '../talk/answer';
import { stageOf } from '../talk/stage';
import type { IRealm } from '../tokens';
import type { Drawings, IDrawing } from './drawings';

export interface IImagineProps {
  realm: IRealm;
  drawings: Drawings;
  notebook: INotebookSide | null;
  trans: TranslationBundle;
}

export function Imagine(props: IImagineProps): JSX.Element {
  const { drawings, trans } = props;
  const [prompt, setPrompt] = useState('');
  useSignals(drawings.changed);
  return (
    <div className="jp-mtor-talk">
      <div className="jp-mtor-turns" tabIndex={0} aria-label={trans.__('Pictures')} role="log">
        {drawings.all.length === 0 && (
          <p className="jp-mtor-quiet jp-mtor-welcome">
            {trans.__('Say what you want to see, such as “a red heart”.')}
          </p>
        )}
        {drawings.all.map(drawing => (
          <Drawing key={drawing.key} {...props} drawing={drawing} />
        ))}
      </div>
      <form
        className="jp-mtor-composer jp-mtor-row"
        onSubmit={event => {
          event.preventDefault();
          if (prompt.trim()) {
            drawings.draw(prompt);
            setPrompt('');
          }
        }}
      >
        <input
          className="jp-mtor-input"
          aria-label={trans.__('What to draw')}
          placeholder={trans.__('What to draw')}
          value={prompt}
          onChange={event => setPrompt(event.target.value)}
        />
        <button type="submit" disabled={!prompt.trim()}>
          {trans.__('Draw')}
        </button>
      </form>
    </div>
  );
}

function Drawing(props: IImagineProps & { drawing: IDrawing }): JSX.Element {
  const { realm, drawing, notebook, trans } = props;
  const { running, prompt } = drawing;
  useSignals(running.changed);
  const part = running.parts.find(one => one.type === 'image');
  const end = running.end;
  const trouble = troubleOf(running, trans.__('Stopped.'));
  return (
    <article className="jp-mtor-turn" aria-busy={running.stage !== 'ended'}>
      <p className="jp-mtor-row">
        <span className="jp-mtor-ellipsis">{prompt}</span>
        {running.stage !== 'ended' && (
          <IconButton
            icon={stopIcon}
            label={trans.__('Stop drawing')}
            onClick={() => running.cancel()}
          />
        )}
      </p>
      {part?.type === 'image' ? (
        <Media realm={realm} blob={part.blob} kind="image" alt={prompt} />
      ) : running.preview ? (
        <img
          className="jp-mtor-picture jp-mtor-unfinished"
          src={`data:image/png;base64,${running.preview}`}
          alt={trans.__('%1, not finished', prompt)}
        />
      ) : null}
      {running.stage !== 'ended' && <p className="jp-mtor-quiet">{stageOf(running, trans)}</p>}
      {running.fraction !== null && (
        <progress value={running.fraction} max={1} aria-label={trans.__('Progress')} />
      )}
      {trouble && <p className="jp-mtor-trouble">{trouble}</p>}
      {part?.type === 'image' && end?.op === 'settled' && (
        <footer>
          <span className="jp-mtor-quiet">
            {end.model} · {span(end.seconds ?? 0)} ·{' '}
            {trans.__('%1 credits', credits(end.charge.amount_micro ?? 0))}
          </span>
          <IconButton
            icon={downloadIcon}
            label={trans.__('Save the picture')}
            onClick={() => void drawing.save(part.blob)}
          />
          {notebook && (
            <IconButton
              icon={addBelowIcon}
              label={trans.__('Insert the picture into the notebook')}
              onClick={() => void drawing.insert(part.blob, notebook)}
            />
          )}
        </footer>
      )}
    </article>
  );
}
