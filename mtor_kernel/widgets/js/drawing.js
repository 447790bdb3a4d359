// Words become a picture, which sharpens as it is drawn.
import { button, make, reveal, say, widget } from './common.js';

export default widget(({ root, line, clear }) => {
  const prompt = make('input', {
    class: 'mtor-grow',
    'aria-label': 'What to draw',
    placeholder: 'What to draw, such as “a red heart”',
    onkeydown: event => {
      event.stopPropagation();
      if (event.key === 'Enter') {
        event.preventDefault();
        draw();
      }
    }
  });
  const send = button('Draw', () => draw(), { class: 'mtor-main' });
  const stop = button('Stop', () => line.ask({ kind: 'stop' }));
  const picture = make('img', { class: 'mtor-picture', hidden: true });
  const progress = make('progress', { max: 1, 'aria-label': 'How far the picture is', hidden: true });
  const note = make('p', { class: 'mtor-quiet', role: 'status' });
  let words = '';
  let url = '';

  function draw() {
    if (prompt.value.trim() && !send.disabled) {
      clear();
      line.ask({ kind: 'ask', prompt: prompt.value });
    }
  }

  function show(mime, buffer, alt) {
    URL.revokeObjectURL(url);
    picture.src = url = URL.createObjectURL(new Blob([buffer], { type: mime }));
    picture.alt = alt;
    reveal(true, picture);
  }

  line.on('clear', () => reveal(false, picture));
  line.on('preview', ({ mime }, [buffer]) => show(mime, buffer, `${words}, not finished`));
  line.on('picture', ({ mime }, [buffer]) => show(mime, buffer, words || 'The picture'));
  line.on('drawing', ({ prompt: asked, note: told, fraction, busy }) => {
    words = asked;
    prompt.value ||= asked;
    say(note, told);
    send.disabled = busy;
    reveal(busy, stop);
    reveal(fraction !== null, progress);
    progress.value = fraction ?? 0;
  });
  reveal(false, stop);
  root.append(make('div', { class: 'mtor-bar' }, prompt, send, stop), picture, progress, note);
  return () => URL.revokeObjectURL(url);
});
