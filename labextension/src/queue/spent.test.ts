import type { Query } from '../protocol';
import { spentSoFar } from './spent';

const CARD = { query_micro: 100, input_token_micro: 1, output_token_micro: 10 };
const asked = { messages: [{ role: 'user', parts: [{ type: 'text', text: 'Why is it so?!' }] }] };
const running = {
  stage: 'running' as const,
  fraction: null,
  hold: 1000,
  text: '',
  parts: [],
  query: asked as Query
};

describe('spentSoFar', () => {
  it('is nothing before a query runs', () => {
    expect(spentSoFar({ ...running, stage: 'queued' }, CARD)).toBeNull();
  });

  it('grows with the words that come', () => {
    expect(spentSoFar(running, CARD)).toBe(104);
    expect(spentSoFar({ ...running, text: 'x'.repeat(80) }, CARD)).toBe(304);
  });

  it('counts the words alone of what was asked elsewhere', () => {
    expect(spentSoFar({ ...running, query: null, text: 'x'.repeat(80) }, CARD)).toBe(300);
  });

  it('grows with the rows that have an answer', () => {
    const answers = [
      { row: 0, parts: [{ type: 'text' as const, text: 'good' }] },
      { row: 1, error: { code: 'bad_input', message: 'It is too long.' } },
      { row: 2, parts: [{ type: 'text' as const, text: 'bad.' }] }
    ];
    const parts = [{ type: 'rows' as const, answers }];
    expect(spentSoFar({ ...running, query: null, parts }, CARD)).toBe(220);
    // How far they are says nothing of what they cost: what is held is for the longest answers.
    expect(spentSoFar({ ...running, query: null, parts, fraction: 0.75 }, CARD)).toBe(220);
  });

  it('grows with what is done of a picture', () => {
    const card = { query_micro: 100, megapixel_step_micro: 100 };
    expect(spentSoFar({ ...running, fraction: 0 }, card)).toBe(100);
    expect(spentSoFar({ ...running, fraction: 0.5 }, card)).toBe(550);
    expect(spentSoFar({ ...running, fraction: 1 }, card)).toBe(1000);
  });

  it('is never more than what is held, and nothing where nothing costs', () => {
    expect(spentSoFar({ ...running, text: 'x'.repeat(8000) }, CARD)).toBe(1000);
    expect(spentSoFar({ ...running, text: 'x'.repeat(8000) }, { free: true })).toBe(0);
  });
});
