// Show the realm something: from the camera, or from a file.
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useReducer, useRef, useState } from 'react';
import type { RenderMimeRegistry } from '@jupyterlab/rendermime';
import type { DeviceTrouble } from '../common/devices';
import { useSignals } from '../common/hooks';
import { troubleOf } from '../running';
import { Answer } from '../talk/answer';
import { stageOf } from '../talk/stage';
import type { IRealm, IRunning } from '../tokens';
import { frame } from './camera';
import type { Sight } from './sight';

export interface ILookProps {
  realm: IRealm;
  registry: RenderMimeRegistry;
  sight: Sight;
  trans: TranslationBundle;
}

export function Look(props: ILookProps): JSX.Element {
  const { sight, trans } = props;
  const { camera, picture, running, trouble } = sight;
  // A camera takes a moment before it shows anything.
  const [seeing, setSeeing] = useState(false);
  const [, render] = useReducer((count: number) => count + 1, 0);
  const video = useRef<HTMLVideoElement>(null);
  const file = useRef<HTMLInputElement>(null);
  useSignals(sight.changed);
  useEffect(() => {
    setSeeing(false);
    if (video.current) {
      video.current.srcObject = camera.stream;
    }
  }, [camera.stream]);
  // Another tab, another page: nobody looks at the preview any more.
  useEffect(() => () => sight.leave(), [sight]);

  const take = (): Promise<Blob> => frame(video.current!, trans);
  return (
    <div
      className="jp-mtor-scroll jp-mtor-look"
      onDragOver={event => event.preventDefault()}
      onDrop={event => {
        const dropped = event.dataTransfer.files[0];
        if (dropped) {
          event.preventDefault();
          sight.choose(dropped);
        }
      }}
    >
      {camera.stream ? (
        <>
          <video
            ref={video}
            className="jp-mtor-picture"
            autoPlay
            muted
            playsInline
            onLoadedData={() => {
              setSeeing(true);
              void sight.seen(take);
            }}
            aria-label={trans.__('What the camera sees')}
          />
          {camera.devices.length > 1 && (
            <select
              className="jp-mtor-select"
              aria-label={trans.__('Camera')}
              value={camera.device}
              onChange={event => void camera.start(event.target.value)}
            >
              {camera.devices.map((device, index) => (
                <option key={device.deviceId} value={device.deviceId}>
                  {device.label || trans.__('Camera %1', index + 1)}
                </option>
              ))}
            </select>
          )}
        </>
      ) : (
        picture && <Picture content={picture} alt={trans.__('The picture to ask about')} />
      )}
      {camera.trouble && (
        <p className="jp-mtor-trouble" role="alert">
          {words(camera.trouble, trans)}
        </p>
      )}
      <div className="jp-mtor-bar">
        {camera.stream ? (
          <>
            <button type="button" disabled={!seeing} onClick={() => void sight.take(take)}>
              {trans.__('Take the picture')}
            </button>
            <button type="button" onClick={() => camera.stop()}>
              {trans.__('Camera off')}
            </button>
          </>
        ) : (
          <button type="button" onClick={() => void sight.look()}>
            {trans.__('Use the camera')}
          </button>
        )}
        <button type="button" onClick={() => file.current!.click()}>
          {trans.__('Choose a file')}
        </button>
        <input
          ref={file}
          type="file"
          accept="image/*"
          hidden
          aria-label={trans.__('A picture from a file')}
          onChange={event => {
            const chosen = event.target.files?.[0];
            if (chosen) {
              sight.choose(chosen);
            }
            event.target.value = '';
          }}
        />
      </div>
      <form
        className="jp-mtor-row"
        onSubmit={event => {
          event.preventDefault();
          void sight.ask();
        }}
      >
        <input
          className="jp-mtor-input"
          aria-label={trans.__('What do you want to know?')}
          placeholder={trans.__('What is on this picture?')}
          value={sight.question}
          onChange={event => {
            sight.question = event.target.value;
            render(); // at once: a text field must not lag behind its typing
          }}
        />
        <button type="submit" disabled={!picture}>
          {trans.__('Ask')}
        </button>
      </form>
      {trouble && <p className="jp-mtor-trouble">{trouble}</p>}
      {running && <Seen {...props} running={running} />}
    </div>
  );
}

function Seen(props: ILookProps & { running: IRunning }): JSX.Element {
  const { running, realm, registry, trans } = props;
  useSignals(running.changed);
  const trouble = troubleOf(running, '');
  return (
    <div role="status" aria-busy={running.stage !== 'ended'}>
      <Answer {...{ realm, registry, trans }} parts={running.parts} />
      {running.stage !== 'ended' && <p className="jp-mtor-quiet">{stageOf(running, trans)}</p>}
      {trouble && <p className="jp-mtor-trouble">{trouble}</p>}
    </div>
  );
}

function Picture(props: { content: Blob; alt: string }): JSX.Element {
  const [url, setUrl] = useState('');
  useEffect(() => {
    const made = URL.createObjectURL(props.content);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [props.content]);
  return url ? <img className="jp-mtor-picture" src={url} alt={props.alt} /> : <></>;
}

function words(trouble: DeviceTrouble, trans: TranslationBundle): string {
  switch (trouble) {
    case 'insecure':
      return trans.__(
        'A browser gives its camera only to pages by https, or from this machine. Choose a file instead.'
      );
    case 'denied':
      return trans.__(
        'The browser does not allow the camera here. Allow it beside the address, or choose a file.'
      );
    case 'busy':
      return trans.__('Another program uses the camera. Close it there, or choose a file.');
    default:
      return trans.__('There is no camera here. Choose a file instead.');
  }
}
