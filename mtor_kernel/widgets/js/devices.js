// The browser's camera and microphone: asked for when a button is pressed, and always given back.
import { button, make, reveal, say, sendFile } from './common.js';

/** Why a browser gives no device, and what to do. `device` and `thing` are its names. */
function troubleOf(error, device) {
  switch (error?.name) {
    case 'insecure':
      return `A browser gives its ${device} only to pages by https, or from this machine. Choose a file instead.`;
    case 'NotAllowedError':
    case 'SecurityError':
      return `The browser does not allow the ${device} here. Allow it beside the address, or choose a file.`;
    case 'NotReadableError':
      return `Another program uses the ${device}. Close it there, or choose a file.`;
    default:
      return `There is no ${device} here. Choose a file instead.`;
  }
}

/** A device, while it is wanted. Its light is out whenever `stream` is null. */
export class Device {
  constructor(name, onChange) {
    this.name = name;
    this.stream = null;
    this.trouble = '';
    this._onChange = onChange;
    this._asked = 0;
  }

  /** Switch it on; tells whether it is. What is wrong is in `trouble`. */
  async start(constraints) {
    this.stop();
    const asked = ++this._asked;
    this.trouble = '';
    try {
      if (!navigator.mediaDevices) {
        throw { name: 'insecure' };
      }
      const stream = await navigator.mediaDevices.getUserMedia(constraints);
      if (asked !== this._asked) {
        release(stream);
        return false;
      }
      this.stream = stream;
      // Another program, or the person in the browser's own menu, may take it away.
      stream.getTracks().forEach(track => track.addEventListener('ended', () => this.stop()));
    } catch (error) {
      this.trouble = troubleOf(error, this.name);
    }
    this._onChange();
    return this.stream !== null;
  }

  /** Switch it off, also where it is just being switched on. */
  stop() {
    this._asked++;
    if (this.stream) {
      release(this.stream);
      this.stream = null;
      this._onChange();
    }
  }
}

function release(stream) {
  for (const track of stream.getTracks()) {
    track.stop();
  }
}

/** Return a button that sends a file instead, and its hidden input. */
export function fileButton({ words, accept, label, mostBytes, onFile, complain }) {
  const input = make('input', {
    type: 'file',
    accept,
    hidden: true,
    'aria-label': label,
    onchange: () => {
      const file = input.files[0];
      input.value = '';
      if (file && file.size > mostBytes) {
        complain(`That file is larger than ${Math.floor(mostBytes / 1e6)} MB: make it smaller.`);
      } else if (file) {
        onFile(file);
      }
    }
  });
  return [button(words, () => input.click()), input];
}

/**
 * The lines that a device's widget says: whether a cell waits, and that something was taken.
 * `stop` is called when the kernel wants no more of it, or is gone.
 */
export function deviceLines(model, line, taken, stop) {
  const wanted = make('p', { class: 'mtor-wanted', role: 'status' });
  const status = make('p', { class: 'mtor-quiet', role: 'status' });
  const onWanted = () => {
    say(wanted, model.get('wanted') ? 'A cell waits for this.' : '');
    reveal(model.get('wanted'), wanted);
  };
  model.on('change:wanted', onWanted);
  onWanted();
  // Told when a kernel is restarted: nobody would take what is seen or heard.
  model.on('comm_live_update', stop);
  line.on('stop', stop);
  line.on('took', ({ bytes }) =>
    say(status, `${taken}: ${Math.max(1, Math.round(bytes / 1024))} KB in the kernel’s memory; the notebook keeps nothing of it.`)
  );
  const end = () => {
    stop();
    model.off('change:wanted', onWanted);
    model.off('comm_live_update', stop);
  };
  return { wanted, status, end };
}

/** Send what was taken, and say so meanwhile. */
export async function hand(line, status, blob) {
  say(status, 'Sending…');
  await sendFile(line, blob);
}
