import type { RowAnswer } from '../protocol';
import type { Part } from '../tokens';
import { answersOf, rowsOf } from './rows';

const text = (row: number, words: string): RowAnswer => ({ row, parts: [{ type: 'text', text: words }] });
const data = (row: number, value: unknown): RowAnswer => ({ row, parts: [{ type: 'data', value }] });

describe('answersOf', () => {
  it('finds the rows of all parts', () => {
    const parts: Part[] = [
      { type: 'rows', answers: [text(0, 'a'), text(1, 'b')] },
      { type: 'text', text: 'no row' },
      { type: 'rows', answers: [text(2, 'c')] }
    ];
    expect(answersOf(parts).map(one => one.row)).toEqual([0, 1, 2]);
  });
});

describe('rowsOf', () => {
  it('numbers rows from one, in their order, whatever is missing', () => {
    expect(rowsOf([text(4, ' five\n'), text(0, 'one')])).toEqual([
      { place: 1, asked: '', said: 'one', failed: false },
      { place: 5, asked: '', said: 'five', failed: false }
    ]);
  });

  it('says why a row has no answer', () => {
    const error = { code: 'bad_input', message: 'The prompt is too long: shorten it.' };
    expect(rowsOf([{ row: 1, error }])).toEqual([
      { place: 2, asked: '', said: error.message, failed: true }
    ]);
  });

  it('shortens vectors and other findings', () => {
    const vector = { embedding: Array.from({ length: 384 }, () => 0.25), index: 0 };
    const [embedded, boxes, odd] = rowsOf([
      data(0, vector),
      data(1, { boxes: 'x'.repeat(500) }),
      data(2, { embedding: ['<b>', 1] })
    ]);
    expect(embedded.said).toBe('[0.250, 0.250, 0.250, 0.250, …] (384)');
    expect(boxes.said).toHaveLength(80);
    expect(odd.said).toBe('[?, 1.000] (2)');
  });

  it('has the first words of each question, without cutting a character', () => {
    const asked = [{ key: 'a', text: 'Is this\n\n good?' }, { key: 'b', text: '🐝'.repeat(100) }];
    const rows = rowsOf([text(0, 'yes'), text(1, 'bees'), text(7, 'unasked')], asked);
    expect(rows[0].asked).toBe('Is this good?');
    expect(rows[1].asked).toBe(`${'🐝'.repeat(79)}…`);
    expect(rows[2].asked).toBe('');
  });
});
