// Where a Markdown text that still grows can be cut, so that what stands is not rendered again. Pure.

const FENCE = /^\s*(`{3,}|~{3,})/;
const FORMULA = /\$\$/g;

/**
 * Cuts at blank lines before a line that is not indented, outside of fenced code and formulas.
 * What a cut may tear apart for a while (a list, a link whose address comes last) is whole again when
 * the answer has ended and is rendered in one piece.
 */
export class Blocks {
  /** Take in the whole text so far; gives its blocks, of which only the last may still change. */
  take(text: string): ReadonlyArray<string> {
    if (!text.startsWith(this._head)) {
      this._forget();
    }
    for (let end = text.indexOf('\n', this._at); end >= 0; end = text.indexOf('\n', this._at)) {
      this._line(text, text.slice(this._at, end));
      this._at = end + 1;
    }
    return [...this._settled, text.slice(this._head.length)];
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
    if (this._afterBlank && !this._inFormula && !/^\s/.test(line)) {
      this._settled = [...this._settled, text.slice(this._head.length, this._at)];
      this._head = text.slice(0, this._at);
    }
    this._afterBlank = false;
    this._fence = FENCE.exec(line)?.[1] ?? '';
    if (!this._fence && (line.match(FORMULA)?.length ?? 0) % 2 === 1) {
      this._inFormula = !this._inFormula;
    }
  }

  private _forget(): void {
    this._settled = [];
    this._head = this._fence = '';
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
  private _afterBlank = false;
  private _inFormula = false;
}
