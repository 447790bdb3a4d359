import type { Chunk } from './protocol';
import { codePoints, Transcript } from './transcript';

const QUERY = 'a'.repeat(32);

function chunk(seq: number, text: string, attempt = 1): Chunk {
  return { op: 'chunk', query: QUERY, attempt, seq, next: seq + codePoints(text), text };
}

test('pieces in order become one text', () => {
  const transcript = new Transcript(QUERY);
  transcript.take(chunk(0, 'Bees '));
  transcript.take(chunk(5, 'make honey.'));
  expect(transcript.text).toBe('Bees make honey.');
  expect(transcript.parts).toEqual([{ type: 'text', text: 'Bees make honey.' }]);
});

test('what comes twice or overlaps is not repeated', () => {
  const transcript = new Transcript(QUERY);
  transcript.take(chunk(0, 'Bees make'));
  expect(transcript.take(chunk(0, 'Bees make')).news).toEqual([]);
  transcript.take(chunk(5, 'make honey'));
  expect(transcript.text).toBe('Bees make honey');
});

test('a gap is asked for once, and what comes after it is not shown before it', () => {
  const transcript = new Transcript(QUERY);
  transcript.take(chunk(0, 'Bees '));
  expect(transcript.take(chunk(10, 'honey')).ask).toBe(true);
  expect(transcript.take(chunk(15, '.')).ask).toBe(false);
  expect(transcript.text).toBe('Bees ');
  expect(transcript.cursor).toEqual({ op: 'resume', query: QUERY, attempt: 1, seq: 5 });
});

test('positions count code points, as the realm does', () => {
  const transcript = new Transcript(QUERY);
  transcript.take(chunk(0, '🐝🍯'));
  expect(transcript.next).toBe(2);
  transcript.take(chunk(1, '🍯!'));
  expect(transcript.text).toBe('🐝🍯!');
});

test('a later attempt begins afresh, and the earlier one is not heard any more', () => {
  const transcript = new Transcript(QUERY);
  transcript.take(chunk(0, 'half an ans'));
  const { news } = transcript.take(chunk(0, 'whole', 2));
  expect(news.map(event => event.op)).toEqual(['requeued', 'started', 'chunk']);
  transcript.take(chunk(11, 'wer', 1));
  expect(transcript.text).toBe('whole');
});

test('an end of an attempt that was not seen is asked for from its beginning', () => {
  const transcript = new Transcript(QUERY);
  transcript.take(chunk(0, 'old'));
  const settled = {
    op: 'settled', query: QUERY, attempt: 2, model: 'echo', charge: {}
  } as const; // prettier-ignore
  expect(transcript.take(settled).ask).toBe(true);
  expect(transcript.end).toBeNull();
  transcript.take(chunk(0, 'new', 2));
  transcript.take(settled);
  expect(transcript.end?.op).toBe('settled');
  expect(transcript.text).toBe('new');
});

test('parts that are no words keep their place among them', () => {
  const transcript = new Transcript(QUERY);
  transcript.take(chunk(0, 'see '));
  const blob = 'b'.repeat(64);
  transcript.take({
    op: 'chunk', query: QUERY, attempt: 1, seq: 4, next: 5, part: { type: 'image', blob }
  }); // prettier-ignore
  transcript.take(chunk(5, 'this'));
  expect(transcript.parts.map(part => part.type)).toEqual(['text', 'image', 'text']);
});
