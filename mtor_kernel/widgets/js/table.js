// A table of words. The first cell of a row is its head; those after it are figures.
import { make } from './common.js';

/** Return a table; each row is a list of words, or of elements. */
export function table(label, head, rows) {
  return make(
    'table',
    { 'aria-label': label },
    make('thead', {}, make('tr', {}, ...head.map((one, i) => make('th', { scope: 'col', class: figure(i) }, one)))),
    make(
      'tbody',
      {},
      ...rows.map(([first, ...rest]) =>
        make('tr', {}, make('th', { scope: 'row' }, first), ...rest.map(one => make('td', { class: 'mtor-figure' }, one)))
      )
    )
  );
}

function figure(column) {
  return column ? 'mtor-figure' : '';
}
