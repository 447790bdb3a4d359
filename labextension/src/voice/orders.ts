// What a spoken sentence wants. Pure.

/** What one may say besides a question. */
export type Order = 'chat' | 'look' | 'imagine' | 'stop' | 'repeat' | 'help' | 'goodbye';

export interface IUnderstood {
  /** Whether it began with the wake word. */
  called: boolean;
  /** `chat` where it is a question, or nothing but the wake word. */
  order: Order;
  /** The words that are left: the question, what to look for, what to draw. */
  rest: string;
}

/** The wake word as it is heard, also a little wrong, and what people say before it. */
const CALL = /^\s*(?:(?:hey|hi|hello|ok|okay|oh)[,.!\s]+)?(?:computer|computers|computa|komputer)\b[,.!?:;…-]*\s*/i;
const ORDERS: [Order, RegExp][] = [
  ['stop', /^(?:please\s+)?(?:stop|be quiet|quiet|silence|shut up|cancel)[.!\s]*$/i],
  ['repeat', /^(?:please\s+)?(?:repeat(?: that)?|say (?:that|it) again|again)[.!\s]*$/i],
  ['help', /^(?:help(?: me)?|what can (?:i say|you do))[.!?\s]*$/i],
  ['goodbye', /^(?:good\s?bye|bye(?: bye)?|that'?s all|go to sleep)[.!\s]*$/i],
  // What is looked up, or for, is a question.
  ['look', /^look\b(?!\s+(?:up|for|after|into|like)\b)(?: at (?:this|that|me)\b)?[,.:!?\s]*/i],
  ['imagine', /^(?:imagine|draw(?: me)?|paint(?: me)?)\b[,.:!\s]*/i],
  ['chat', /^(?:chat|ask|tell me)\s*[,:]\s*/i]
];
/** Questions about what the camera sees. */
const SIGHT = /^(?:what do you see|what is this|what'?s this)[.!?\s]*$/i;

/** Return what a transcript wants. */
export function understand(transcript: string): IUnderstood {
  const called = CALL.test(transcript);
  const words = transcript.replace(CALL, '').trim();
  if (SIGHT.test(words)) {
    return { called, order: 'look', rest: words };
  }
  for (const [order, pattern] of ORDERS) {
    const found = pattern.exec(words);
    if (found) {
      return { called, order, rest: words.slice(found[0].length).trim() };
    }
  }
  return { called, order: 'chat', rest: words };
}
