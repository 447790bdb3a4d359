// What every widget is made of: elements, a line to the kernel, a view that cleans up.

/** So long a kernel may take to hear a button, in milliseconds. */
const BUSY_MS = 1500;
/** Between two words to the kernel that a view is still looked at, in milliseconds. */
const STILL_MS = 30_000;

/** Return a new element. Attributes that begin with `on` are listeners, functions of an event. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) {
      element.addEventListener(name.slice(2), value);
    } else if (value === true || value === false) {
      element.toggleAttribute(name, value);
    } else {
      element.setAttribute(name, value);
    }
  }
  element.append(...children);
  return element;
}

/** Return a button with words on it. */
export function button(words, onclick, attributes = {}) {
  return make('button', { type: 'button', onclick, ...attributes }, words);
}

/** Show or hide elements. */
export function reveal(shown, ...elements) {
  for (const element of elements) {
    element.hidden = !shown;
  }
}

/** Put words into an element; nothing where they are there already, so that nothing is read twice. */
export function say(element, words) {
  if (element.textContent !== words) {
    element.textContent = words;
  }
}

/** A view's way to speak with the kernel. */
class Line {
  constructor(model, onBusy) {
    this._model = model;
    this._onBusy = onBusy;
    this._handlers = {};
    this._number = 0;
    this._unheard = new Map();
    this._listener = (content, buffers) => this._hear(content, buffers ?? []);
    model.on('msg:custom', this._listener);
  }

  /** Have `handler` called with each message of a kind: its content and its buffers. */
  on(kind, handler) {
    this._handlers[kind] = handler;
  }

  /** Ask the kernel for something; who waits for long is told that the kernel is busy. */
  ask(content) {
    const number = ++this._number;
    const timer = setTimeout(() => this._onBusy(true), BUSY_MS);
    this._unheard.set(number, timer);
    this.tell({ ...content, number });
  }

  /** Tell the kernel something. Without a kernel nobody hears it. */
  tell(content, buffers = []) {
    try {
      this._model.send(content, undefined, buffers);
    } catch {
      this._onBusy(true);
    }
  }

  dispose() {
    this._model.off('msg:custom', this._listener);
    for (const timer of this._unheard.values()) {
      clearTimeout(timer);
    }
  }

  _hear(content, buffers) {
    if (content.kind === 'heard') {
      clearTimeout(this._unheard.get(content.number));
      this._unheard.delete(content.number);
      this._onBusy(this._unheard.size > 0 && this._number !== content.number);
    } else {
      this._handlers[content.kind]?.(content, buffers);
    }
  }
}

const BUSY_WORDS = 'The kernel is busy, and hears this when the running cell has ended.';

/**
 * Return a widget. `build` gets its element, its line and its model, and returns what ends it.
 * Every widget says its trouble in an alert below, and beside it that the kernel is busy.
 */
export function widget(build, busyWords = BUSY_WORDS) {
  return {
    initialize({ model }) {
      try {
        model.send({ kind: 'here' });
      } catch {
        // It comes from a saved notebook: there is no kernel to tell.
      }
    },
    render({ model, el }) {
      const trouble = make('p', { class: 'mtor-trouble', role: 'alert', hidden: true });
      const busy = make('p', { class: 'mtor-quiet', role: 'status', hidden: true });
      const root = make('section', {
        class: 'mtor-widget',
        'aria-label': model.get('label') || 'MTOR'
      });
      el.append(root);
      busy.append(busyWords);
      const line = new Line(model, waits => reveal(waits, busy));
      line.on('trouble', ({ words }) => {
        say(trouble, words);
        reveal(Boolean(words), trouble);
      });
      const clear = () => reveal(false, trouble);
      const complain = words => {
        say(trouble, words);
        reveal(true, trouble);
      };
      const end = build({ root, line, model, complain, clear });
      root.append(trouble, busy);
      // Who does not look needs no news; a page that dies says nothing, and is forgotten.
      const view = `${Date.now()}-${Math.random()}`;
      const look = () => line.tell({ kind: document.hidden ? 'gone' : 'shown', view });
      const timer = setInterval(() => document.hidden || line.tell({ kind: 'still', view }), STILL_MS);
      look();
      document.addEventListener('visibilitychange', look);
      return () => {
        document.removeEventListener('visibilitychange', look);
        clearInterval(timer);
        end?.();
        line.tell({ kind: 'gone', view });
        line.dispose();
      };
    }
  };
}

/** The most bytes that go in one message. */
const PIECE_BYTES = 1 << 20;
let sentFiles = 0;

/** Send a file to the kernel, piece by piece. */
export async function sendFile(line, blob) {
  const name = `${Date.now()}-${++sentFiles}`;
  for (let at = 0; at < Math.max(1, blob.size); at += PIECE_BYTES) {
    const bytes = await blob.slice(at, at + PIECE_BYTES).arrayBuffer();
    line.tell({ kind: 'taken', name, at, size: blob.size }, [bytes]);
  }
}

/** Return how long something takes, as one reads it. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
