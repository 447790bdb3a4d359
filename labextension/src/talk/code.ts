// The code in an answer.
const FENCE = /^(`{3,}|~{3,})[^\n]*\n([\s\S]*?)^\1[ \t]*$/gm;

/** Return what stands in the fenced blocks of a Markdown text, joined; empty where none does. */
export function codeOf(markdown: string): string {
  return Array.from(markdown.matchAll(FENCE), found => found[2].replace(/\n$/, '')).join('\n\n');
}
