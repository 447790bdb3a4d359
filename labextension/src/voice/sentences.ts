// Whole sentences of a text that is still being written, as they are spoken. Pure.

/** A sentence ends here, where a blank follows. */
const END = /[.!?…:;][)"'’”»]*\s|\n/g;
/** Shorter than this is spoken together with what follows. */
const SHORT = 12;
/** Longer than this is cut at a blank, so that the first words are heard soon. */
const LONG = 240;

export class Sentences {
  /** Take in the whole text so far; gives the sentences that are new. */
  take(text: string): string[] {
    const found: string[] = [];
    let from = this._spoken;
    END.lastIndex = from;
    for (let end = END.exec(text); end !== null; end = END.exec(text)) {
      const stop = end.index + end[0].length;
      if (stop - from >= SHORT) {
        found.push(text.slice(from, stop));
        from = stop;
      }
    }
    while (text.length - from > LONG) {
      const blank = text.lastIndexOf(' ', from + LONG);
      if (blank <= from) {
        break;
      }
      found.push(text.slice(from, blank));
      from = blank;
    }
    this._spoken = from;
    return found.map(speakable).filter(Boolean);
  }

  /** The text is whole: gives what is left of it. */
  rest(text: string): string[] {
    const found = this.take(text);
    const last = speakable(text.slice(this._spoken));
    this._spoken = text.length;
    return last ? [...found, last] : found;
  }

  private _spoken = 0;
}

/** Return of Markdown what a person would read out. */
export function speakable(markdown: string): string {
  return markdown
    .replace(/```[\s\S]*?(```|$)/g, ' ')
    .replace(/!\[[^\]]*\]\([^)]*\)/g, ' ')
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/[*_`#>|~]+/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}
