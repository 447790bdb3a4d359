// The voice's controls: what the microphone does is always to be seen.
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useReducer, useRef } from 'react';
import type { DeviceTrouble } from '../common/devices';
import { useSignals } from '../common/hooks';
import type { Assistant, VoiceState } from './assistant';

export function VoiceBar(props: { assistant: Assistant; trans: TranslationBundle }): JSX.Element {
  const { assistant, trans } = props;
  const { microphone, speaker } = assistant;
  useSignals(assistant.changed);
  // A key that is held is let go where the focus is lost; a pointer is captured, and is not.
  const byKey = useRef(false);
  const [, render] = useReducer((count: number) => count + 1, 0);
  const trouble = assistant.trouble || words(microphone.trouble, trans);
  return (
    <div className="jp-mtor-voice">
      {trouble && (
        <p className="jp-mtor-trouble" role="alert">
          {trouble}
        </p>
      )}
      <div className="jp-mtor-bar">
        <button
          type="button"
          className={assistant.state === 'recording' ? 'jp-mtor-recording' : ''}
          title={trans.__('Hold it while you speak')}
          onPointerDown={event => {
            event.currentTarget.setPointerCapture(event.pointerId);
            void assistant.press();
          }}
          onPointerUp={() => void assistant.letGo()}
          onPointerCancel={() => void assistant.letGo()}
          onKeyDown={event => {
            if ((event.key === ' ' || event.key === 'Enter') && !event.repeat) {
              event.preventDefault();
              byKey.current = true;
              void assistant.press();
            }
          }}
          onKeyUp={event => {
            if (event.key === ' ' || event.key === 'Enter') {
              event.preventDefault();
              byKey.current = false;
              void assistant.letGo();
            }
          }}
          onBlur={() => {
            if (byKey.current) {
              byKey.current = false;
              void assistant.letGo();
            }
          }}
        >
          {trans.__('Hold to speak')}
        </button>
        <button
          type="button"
          aria-pressed={assistant.handsFree}
          title={trans.__('Listen for “computer”')}
          onClick={() => void assistant.listen(!assistant.handsFree)}
        >
          {trans.__('Hands-free')}
        </button>
        <label>
          <input
            type="checkbox"
            checked={assistant.settings.speak}
            onChange={event => {
              assistant.speaks = event.target.checked;
              render(); // at once: a box must not lag behind its click
            }}
          />
          {trans.__('Read answers out')}
        </label>
        {speaker.speaking && (
          <button type="button" onClick={() => speaker.stop()}>
            {trans.__('Silence')}
          </button>
        )}
      </div>
      <div className="jp-mtor-row">
        {microphone.isOn && <Waveform assistant={assistant} trans={trans} />}
        <span className="jp-mtor-quiet" role="status">
          {doing(assistant.state, trans)}
        </span>
      </div>
    </div>
  );
}

/** That the microphone is on, where the controls above are not to be seen; nothing while it is off. */
export function Listening(props: { assistant: Assistant; trans: TranslationBundle }): JSX.Element {
  const { assistant, trans } = props;
  useSignals(assistant.changed);
  return assistant.microphone.isOn ? (
    <div className="jp-mtor-bar jp-mtor-listening" role="status">
      <Waveform assistant={assistant} trans={trans} />
      <button type="button" onClick={() => void assistant.off()}>
        {trans.__('Microphone off')}
      </button>
    </div>
  ) : (
    <></>
  );
}

/** How loud it is, frame by frame. */
function Waveform(props: { assistant: Assistant; trans: TranslationBundle }): JSX.Element {
  const { assistant, trans } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const levels: number[] = [];
    let frame = 0;
    const draw = (): void => {
      frame = 0;
      const node = canvas.current;
      const pen = node?.getContext('2d');
      if (!node || !pen) {
        return;
      }
      pen.clearRect(0, 0, node.width, node.height);
      pen.fillStyle = getComputedStyle(node).color;
      levels.forEach((level, index) => {
        const height = Math.max(1, Math.min(1, 4 * level) * node.height);
        pen.fillRect(2 * index, (node.height - height) / 2, 1, height);
      });
    };
    const onFrame = (_: unknown, samples: Float32Array): void => {
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0);
      levels.push(Math.sqrt(power / samples.length));
      levels.splice(0, levels.length - (canvas.current?.width ?? 0) / 2);
      frame ||= requestAnimationFrame(draw);
    };
    assistant.microphone.frame.connect(onFrame);
    return () => {
      assistant.microphone.frame.disconnect(onFrame);
      cancelAnimationFrame(frame);
    };
  }, [assistant]);
  return (
    <canvas
      ref={canvas}
      className="jp-mtor-waveform"
      width={120}
      height={24}
      role="img"
      aria-label={trans.__('The microphone is on')}
    />
  );
}

function doing(state: VoiceState, trans: TranslationBundle): string {
  switch (state) {
    case 'loading':
      return trans.__('Getting ready…');
    case 'recording':
      return trans.__('The microphone is on: let go when you have spoken.');
    case 'waiting':
      return trans.__('The microphone is on: say “computer”.');
    case 'called':
      return trans.__('Yes? The microphone is on.');
    case 'hearing':
      return trans.__('The microphone is on: you are heard.');
    case 'writing':
      return trans.__('Writing down what you said…');
    default:
      return '';
  }
}

function words(trouble: DeviceTrouble, trans: TranslationBundle): string {
  switch (trouble) {
    case '':
      return '';
    case 'insecure':
      return trans.__(
        'A browser gives its microphone only to pages by https, or from this machine. Write instead.'
      );
    case 'denied':
      return trans.__(
        'The browser does not allow the microphone here. Allow it beside the address, or write.'
      );
    case 'busy':
      return trans.__('Another program uses the microphone. Close it there, or write.');
    default:
      return trans.__('There is no microphone here. Write instead.');
  }
}
