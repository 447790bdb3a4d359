import { nullTranslator } from '@jupyterlab/translation';
import React from 'react';
import { page } from '../page.double';
import type { RowAnswer, TableRow } from '../protocol';
import { RowList } from './rows';

const trans = nullTranslator.load('mtor_realm');
const said = (row: number, text = `answer ${row}`): RowAnswer => ({ row, parts: [{ type: 'text', text }] });
const asked = (count: number): TableRow[] =>
  Array.from({ length: count }, (_, row) => ({ key: `k${row}`, text: `question ${row}` }));

test('each row has its number, its question and its answer', () => {
  const { node } = page(<RowList answers={[said(1), said(3)]} asked={asked(4)} trans={trans} />);
  const items = Array.from(node.querySelectorAll<HTMLLIElement>('ol > li'));
  expect(items.map(one => [one.value, one.textContent])).toEqual([
    [2, 'question 1answer 1'],
    [4, 'question 3answer 3']
  ]);
  expect(node.querySelector('ol')?.getAttribute('aria-label')).toBe('Answers by row');
});

test('many rows are shown some at a time, and one is told how many are left', async () => {
  const answers = Array.from({ length: 45 }, (_, row) => said(row));
  const { node, shows, until } = page(<RowList answers={answers} trans={trans} />);
  const rows = (): number => node.querySelectorAll('li').length;
  const more = (): HTMLButtonElement | null => node.querySelector('button');
  expect([rows(), more()?.textContent]).toEqual([20, 'Show more: 25 rows are left']);
  await until(() => more()?.click());
  expect([rows(), more()?.textContent]).toEqual([40, 'Show more: 5 rows are left']);
  await until(() => more()?.click());
  expect([rows(), more()]).toEqual([45, null]);
  expect(shows()).toContain('answer 44');
});

test('what a model says in a row is words, never markup', () => {
  const evil = '<img src=x onerror=alert(1)> <b>bold</b>';
  const { node, shows } = page(<RowList answers={[said(0, evil)]} trans={trans} />);
  expect(shows()).toBe(evil);
  expect(node.querySelector('img, b')).toBeNull();
});

test('a row without an answer says why, and one without words says so', () => {
  const error = { code: 'bad_input', message: 'The prompt is too long: shorten it.' };
  const { node } = page(<RowList answers={[{ row: 0, error }, said(1, '')]} trans={trans} />);
  expect(node.querySelector('.jp-mtor-trouble')?.textContent).toBe(error.message);
  expect(node.querySelectorAll('li')[1].textContent).toBe('(no words)');
});

test('rows that there was no time for are counted once no more comes', async () => {
  const rows = { answers: [said(0)], asked: asked(3), trans };
  const { shows, show, until } = page(<RowList {...rows} grows />);
  expect(shows()).not.toContain('no answer');
  await until(() => show(<RowList {...rows} />));
  expect(shows()).toContain('2 rows have no answer here.');
});
