// The camera: a preview, one picture, and off again.
import { button, make, reveal, widget } from './common.js';
import { Device, deviceLines, fileButton, hand } from './devices.js';

/** A camera that nobody uses goes off by itself, after so many milliseconds. */
const FORGOTTEN_MS = 5 * 60 * 1000;

export default widget(({ root, line, model, complain, clear }) => {
  const lines = deviceLines(model, line, 'The picture was taken', () => device.stop());
  const video = make('video', {
    class: 'mtor-picture',
    autoplay: true,
    playsinline: true,
    hidden: true,
    'aria-label': 'What the camera sees',
    onloadeddata: () => (take.disabled = false)
  });
  video.muted = true;
  const picture = make('img', { class: 'mtor-picture', alt: 'The picture that was taken', hidden: true });
  const choice = make('select', {
    'aria-label': 'Which camera',
    hidden: true,
    onchange: () => void on(choice.value)
  });
  const start = button('Use the camera', () => void on(''));
  const take = button('Take the picture', () => void shoot(), { class: 'mtor-main' });
  const off = button('Camera off', () => device.stop());
  const [file, input] = fileButton({
    words: 'Choose a file',
    accept: 'image/*',
    label: 'A picture from a file',
    mostBytes: model.get('most_bytes'),
    complain,
    onFile: chosen => void give(chosen)
  });
  let url = '';
  let timer = 0;

  const device = new Device('camera', () => {
    clearTimeout(timer);
    const isOn = device.stream !== null;
    video.srcObject = device.stream;
    take.disabled = true;
    reveal(isOn, video, take, off);
    reveal(!isOn, start);
    reveal(isOn && choice.options.length > 1, choice);
    reveal(!isOn && url !== '', picture);
    if (device.trouble) {
      complain(device.trouble);
    }
    if (isOn) {
      timer = setTimeout(() => device.stop(), FORGOTTEN_MS);
    }
  });

  async function on(id) {
    clear();
    const video = { deviceId: id ? { exact: id } : undefined, width: { ideal: 1280 } };
    if (await device.start({ video })) {
      await list();
      take.focus();
    }
  }

  /** Cameras have names only once one was allowed. */
  async function list() {
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(
      one => one.kind === 'videoinput'
    );
    const used = device.stream?.getVideoTracks()[0]?.getSettings().deviceId ?? '';
    choice.replaceChildren(
      ...cameras.map((one, index) =>
        make(
          'option',
          { value: one.deviceId, selected: one.deviceId === used },
          one.label || `Camera ${index + 1}`
        )
      )
    );
    reveal(device.stream !== null && cameras.length > 1, choice);
  }

  async function shoot() {
    const canvas = make('canvas', { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext('2d').drawImage(video, 0, 0);
    device.stop();
    const blob = await new Promise(resolve => canvas.toBlob(resolve, 'image/jpeg', 0.92));
    if (blob) {
      await give(blob);
    } else {
      complain('The picture could not be taken. Try again, or choose a file.');
    }
    start.focus();
  }

  async function give(blob) {
    clear();
    device.stop();
    URL.revokeObjectURL(url);
    picture.src = url = URL.createObjectURL(blob);
    reveal(true, picture);
    await hand(line, lines.status, blob);
  }

  reveal(false, take, off);
  root.append(
    lines.wanted,
    video,
    picture,
    make('div', { class: 'mtor-bar' }, start, take, off, choice, file, input),
    lines.status
  );
  return () => {
    clearTimeout(timer);
    URL.revokeObjectURL(url);
    lines.end();
  };
});
