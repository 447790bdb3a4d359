// Where a Markdown text that still grows can be cut, so that what stands is not rendered again. Pure.

const FENCE = /^\s*(`{3,}|~{3,})/;
const FORMULA = /\$\$/g;
/** What is shorter is left with what follows: to make a block costs as much as to render so many words. */
const LEAST = 600;
/** What is longer is cut where it hurts least, so that it costs no more to render than this much. */
const MOST = 2000;

/**
 * Cuts at blank lines before a line that is not indented, outside of fenced code and formulas. Long code
 * is cut between lines and opened anew, a long paragraph between words; a table is left whole.
 * What a cut may tear apart for a while (a list, a link whose address comes last) is whole again when
 * the answer has ended and is rendered in one piece.
 */
export class Blocks {
  constructor(private readonly _least = LEAST) {}

  /** Take in the whole text so far; gives its blocks, of which only the last may still change. */
  take(text: string): ReadonlyArray<string> {
    if (!text.startsWith(this._head)) {
      this._forget();
    }
    for (let end = text.indexOf('\n', this._at); end >= 0; end = text.indexOf('\n', this._at)) {
      const line = text.slice(this._at, end);
      this._line(text, line);
      this._at = end + 1;
      if (this._fence && this._at - this._head.length > MOST) {
        this._settle(text, this._at);
        this._opener = `${this._opening}\n`;
      }
    }
    this._shorten(text);
    return [...this._settled, this._opener + text.slice(this._head.length)];
  }

  private _line(text: string, line: string): void {
    if (this._fence) {
      const closing = line.trim();
      const only = closing === this._fence[0].repeat(closing.length);
      this._fence = only && closing.length >= this._fence.length ? '' : this._fence;
      return;
    }
    if (!line.trim()) {
      this._afterBlank = true;
      return;
    }
    const enough = this._at - this._head.length >= this._least;
    if (enough && this._afterBlank && !this._inFormula && !/^\s/.test(line)) {
      this._settle(text, this._at);
    }
    this._afterBlank = false;
    this._fence = FENCE.exec(line)?.[1] ?? '';
    this._opening = line;
    if (!this._fence && (line.match(FORMULA)?.length ?? 0) % 2 === 1) {
      this._inFormula = !this._inFormula;
    }
  }

  /** Cut a paragraph that goes on and on. */
  private _shorten(text: string): void {
    const open = !this._fence && !this._inFormula && text[this._at] !== '|';
    const cut = text.lastIndexOf(' ', text.length - 2) + 1;
    if (open && cut - this._head.length > MOST && cut > this._at) {
      this._line(text, text.slice(this._at, cut));
      this._at = cut;
      if (!this._fence && !this._inFormula) {
        this._settle(text, cut);
      }
    }
  }

  private _settle(text: string, end: number): void {
    this._settled = [...this._settled, this._opener + text.slice(this._head.length, end)];
    this._head = text.slice(0, end);
    this._opener = '';
  }

  private _forget(): void {
    this._settled = [];
    this._head = this._fence = this._opener = this._opening = '';
    this._at = 0;
    this._afterBlank = this._inFormula = false;
  }

  private _settled: ReadonlyArray<string> = [];
  /** All that is settled. */
  private _head = '';
  /** The beginning of the first line that is not looked at yet. */
  private _at = 0;
  /** What opened the code that is open; empty where none is. */
  private _fence = '';
  /** The whole line that opened it. */
  private _opening = '';
  /** What opens anew, in the last block, the code that was cut. */
  private _opener = '';
  private _afterBlank = false;
  private _inFormula = false;
}
