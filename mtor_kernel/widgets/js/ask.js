// A question, and its answer as it comes. The kernel has made the answer's HTML safe.
import { button, make, reveal, say, widget } from './common.js';

export default widget(({ root, line, clear }) => {
  const prompt = make('textarea', {
    rows: 2,
    'aria-label': 'Your question',
    placeholder: 'Your question',
    onkeydown: event => {
      // The notebook has shortcuts of its own on these keys.
      event.stopPropagation();
      if (event.key === 'Enter' && !event.shiftKey) {
        event.preventDefault();
        ask();
      }
    }
  });
  const send = button('Ask', () => ask(), { class: 'mtor-main' });
  const stop = button('Stop', () => line.ask({ kind: 'stop' }));
  const answer = make('div', {
    class: 'mtor-answer',
    role: 'region',
    'aria-label': 'Answer',
    tabindex: 0,
    hidden: true
  });
  const note = make('p', { class: 'mtor-quiet', role: 'status' });

  function ask() {
    if (prompt.value.trim() && !send.disabled) {
      clear();
      line.ask({ kind: 'ask', prompt: prompt.value });
    }
  }

  line.on('answer', ({ prompt: asked, html, note: words, busy }) => {
    prompt.value ||= asked;
    answer.innerHTML = html;
    answer.setAttribute('aria-busy', busy);
    reveal(html !== '', answer);
    say(note, words);
    send.disabled = busy;
    reveal(busy, stop);
  });
  reveal(false, stop);
  root.append(prompt, make('div', { class: 'mtor-bar' }, send, stop), answer, note);
});
