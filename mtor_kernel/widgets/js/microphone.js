// The microphone: on while it records, and off again.
import { button, clock, make, reveal, say, widget } from './common.js';
import { Device, deviceLines, fileButton, hand } from './devices.js';
import { RATE, hearFrames, wav } from './sound.js';

export default widget(({ root, line, model, complain, clear }) => {
  const lines = deviceLines(model, line, 'The recording was taken', () => device.stop());
  const start = button('Record', () => void record());
  const send = button('Stop and send', () => void finish(), { class: 'mtor-main' });
  const drop = button('Discard', () => device.stop());
  const [file, input] = fileButton({
    words: 'Choose a file',
    accept: 'audio/*',
    label: 'A recording from a file',
    mostBytes: model.get('most_bytes'),
    complain,
    onFile: chosen => void give(chosen)
  });
  const level = make('meter', { min: 0, max: 1, 'aria-label': 'How loud it is' });
  const time = make('span', { class: 'mtor-quiet' });
  const on = make('div', { class: 'mtor-bar', hidden: true }, make('span', { class: 'mtor-live' }, 'The microphone is on'), level, time);
  const player = make('audio', { controls: true, hidden: true, 'aria-label': 'The recording that was taken' });
  let frames = [];
  let silence = () => undefined;
  let url = '';

  const device = new Device('microphone', () => {
    const isOn = device.stream !== null;
    if (!isOn) {
      silence();
      silence = () => undefined;
    }
    reveal(isOn, on, send, drop);
    reveal(!isOn, start);
    if (device.trouble) {
      complain(device.trouble);
    }
  });

  async function record() {
    clear();
    frames = [];
    say(lines.status, '');
    const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: false };
    if (!(await device.start({ audio }))) {
      return;
    }
    try {
      silence = await hearFrames(device.stream, hear);
      send.focus();
    } catch {
      device.stop();
      complain('This page may not listen to the microphone. Choose a file instead.');
    }
    if (device.stream === null) {
      silence();
    }
  }

  function hear(frame) {
    frames.push(frame);
    const power = frame.reduce((sum, sample) => sum + sample * sample, 0);
    level.value = Math.min(1, 4 * Math.sqrt(power / frame.length));
    const seconds = (frames.length * frame.length) / RATE;
    say(time, clock(seconds));
    if (seconds >= model.get('most_seconds')) {
      void finish();
    }
  }

  async function finish() {
    device.stop();
    start.focus();
    if (frames.length) {
      await give(wav(frames));
    } else {
      complain('Nothing was recorded. Try again.');
    }
    frames = [];
  }

  async function give(blob) {
    clear();
    device.stop();
    URL.revokeObjectURL(url);
    player.src = url = URL.createObjectURL(blob);
    reveal(true, player);
    await hand(line, lines.status, blob);
  }

  reveal(false, send, drop);
  root.append(
    lines.wanted,
    on,
    make('div', { class: 'mtor-bar' }, start, send, drop, file, input),
    player,
    lines.status
  );
  return () => {
    URL.revokeObjectURL(url);
    lines.end();
  };
});
