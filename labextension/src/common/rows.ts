// Rows of a table, which one query asks about: their answers as they came, a list. Pure.
import type { RowAnswer, TableRow } from '../protocol';
import type { Part } from '../tokens';

/** A row whose answer is here. */
export interface IRow {
  /** Its place among the rows of its query, from 1. */
  place: number;
  /** What was asked, in its first words; empty where that is not known. */
  asked: string;
  /** The words of the answer and its findings, or why there is none. */
  said: string;
  failed: boolean;
}

/** The most characters of a question, and of findings, in a list. */
const MOST_CHARACTERS = 80;
/** Findings begin with so many numbers of a vector. */
const NUMBERS = 4;

/** Return the answers to rows among the parts of an answer. */
export function answersOf(parts: ReadonlyArray<Part>): RowAnswer[] {
  return parts.flatMap(part => (part.type === 'rows' ? part.answers : []));
}

/** Return the rows that have an answer or an error, in their order. */
export function rowsOf(answers: ReadonlyArray<RowAnswer>, asked: ReadonlyArray<TableRow> = []): IRow[] {
  return [...answers]
    .sort((one, other) => one.row - other.row)
    .map(one => ({
      place: one.row + 1,
      asked: short(asked[one.row]?.text ?? ''),
      said: one.error ? one.error.message : saidIn(one),
      failed: Boolean(one.error)
    }));
}

/** Return the words of an answer to a row. */
export function wordsOf(answer: RowAnswer): string {
  return (answer.parts ?? []).map(part => (part.type === 'text' ? part.text : '')).join('');
}

function saidIn(answer: RowAnswer): string {
  const found = (answer.parts ?? []).flatMap(part => (part.type === 'data' ? [findings(part.value)] : []));
  return [wordsOf(answer).trim(), ...found].filter(Boolean).join(' · ');
}

/** Return findings on one short line: of a vector its first numbers and how many there are. */
function findings(value: unknown): string {
  const { embedding } = (value ?? {}) as { embedding?: unknown };
  if (Array.isArray(embedding)) {
    const first = embedding.slice(0, NUMBERS).map(one => (typeof one === 'number' ? one.toFixed(3) : '?'));
    const more = embedding.length > NUMBERS ? ', …' : '';
    return `[${first.join(', ')}${more}] (${embedding.length})`;
  }
  return short(JSON.stringify(value) ?? '');
}

function short(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  const characters = Array.from(line);
  return characters.length > MOST_CHARACTERS ? `${characters.slice(0, MOST_CHARACTERS - 1).join('')}…` : line;
}
