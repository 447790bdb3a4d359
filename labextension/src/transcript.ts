// One query's answer, put together from what comes in, whatever the way there did to it. Pure.
//
// A stream may break off and come again from a cursor, so pieces may come twice, overlap or be
// missing, and attempts may change. What is let through is one attempt's answer without gap or
// repeat, or a word (`requeued`) that it starts afresh. A position counts characters as the realm
// does, in Unicode code points, not in JavaScript's UTF-16 units; every other part counts one.
import type { Chunk, QueryEnd, QueryEvent, Resume } from './protocol';
import type { Part } from './tokens';

/** What of an event is news, and whether to ask the realm for what is missing. */
export interface ITaken {
  news: QueryEvent[];
  ask: boolean;
}

const NOTHING: ITaken = { news: [], ask: false };

export class Transcript {
  constructor(readonly query: string) {}

  /** The attempt whose answer this is; 0 before any is known. */
  attempt = 0;
  /** Position after the last unit of it. */
  next = 0;
  end: QueryEnd | null = null;

  /** The command that has the realm go on from here. */
  get cursor(): Resume {
    return { op: 'resume', query: this.query, attempt: this.attempt, seq: this.next };
  }

  /** All words of the answer so far. */
  get text(): string {
    return this._text;
  }

  /** The answer so far, neighbouring words joined. */
  get parts(): ReadonlyArray<Part> {
    return this._parts;
  }

  /** Take in an event; nothing is news twice. */
  take(event: QueryEvent): ITaken {
    if (this.end) {
      return NOTHING;
    }
    switch (event.op) {
      case 'queued':
        return { news: [event], ask: false };
      case 'started':
        return { news: this._begin(event.attempt, event), ask: false };
      case 'requeued':
        this._turn(event.attempt);
        return { news: [event], ask: false };
      case 'progress':
        return { news: event.attempt === this.attempt ? [event] : [], ask: false };
      case 'chunk':
        return this._add(event);
      case 'settled':
        if (event.attempt !== this.attempt) {
          // An end is right in any case. Asked from here on, the realm tells it again.
          this._turn(event.attempt);
          return { news: [], ask: true };
        }
        if (this._asked !== null) {
          return NOTHING; // it will come again, after what is missing
        }
    }
    this.end = event;
    return { news: [event], ask: false };
  }

  /** An attempt runs; tell first that its predecessor is void where nobody has told. */
  private _begin(attempt: number, event?: QueryEvent): QueryEvent[] {
    if (attempt < this.attempt || (attempt === this.attempt && this._started)) {
      return [];
    }
    const told: QueryEvent[] = [];
    if (attempt > this.attempt) {
      if (this._started) {
        told.push({ op: 'requeued', query: this.query, attempt });
      }
      this._turn(attempt);
    }
    this._started = true;
    return [...told, event ?? { op: 'started', query: this.query, attempt }];
  }

  /** Forget the answer so far: this attempt starts afresh. */
  private _turn(attempt: number): void {
    this.attempt = attempt;
    this.next = 0;
    this._started = false;
    this._asked = null;
    this._text = '';
    this._parts = [];
  }

  private _add(chunk: Chunk): ITaken {
    if (chunk.attempt < this.attempt) {
      return NOTHING;
    }
    const news = this._begin(chunk.attempt);
    if (chunk.seq > this.next) {
      const asked = `${this.attempt}:${this.next}`;
      const ask = this._asked !== asked;
      this._asked = asked;
      return { news, ask };
    }
    const fresh = this._trim(chunk);
    if (fresh === null) {
      return { news, ask: false };
    }
    this._asked = null;
    this._append(fresh);
    this.next = fresh.next;
    return { news: [...news, fresh], ask: false };
  }

  /** Return the part of `chunk` that lies after the cursor; `null` where nothing does. */
  private _trim(chunk: Chunk): Chunk | null {
    const text = chunk.text ?? '';
    const skip = this.next - chunk.seq;
    const end = chunk.seq + codePoints(text) + (chunk.part ? 1 : 0);
    if (end <= this.next) {
      return null;
    }
    const rest = skip === 0 ? text : Array.from(text).slice(skip).join('');
    return { ...chunk, seq: this.next, next: end, text: rest };
  }

  private _append(chunk: Chunk): void {
    if (chunk.text) {
      this._text += chunk.text;
      this._words(chunk.text);
    }
    const part = chunk.part as Part | null | undefined;
    if (part?.type === 'text') {
      this._text += part.text;
      this._words(part.text);
    } else if (part) {
      this._parts = [...this._parts, part];
    }
  }

  private _words(text: string): void {
    const last = this._parts[this._parts.length - 1];
    this._parts =
      last?.type === 'text'
        ? [...this._parts.slice(0, -1), { type: 'text', text: last.text + text }]
        : [...this._parts, { type: 'text', text }];
  }

  private _started = false;
  private _text = '';
  private _parts: Part[] = [];
  /** The cursor at which a gap was seen and the rest asked for; `null`: no gap. */
  private _asked: string | null = null;
}

/** Count the characters of a text as the realm does. */
export function codePoints(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    // The second half of a surrogate pair is not counted.
    if (unit < 0xdc00 || unit > 0xdfff) {
      count++;
    }
  }
  return count;
}
