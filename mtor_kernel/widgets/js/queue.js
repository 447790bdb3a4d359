// One's queries under way, and how deep the lanes are.
import { button, make, widget } from './common.js';
import { table } from './table.js';

export default widget(({ root, line }) => {
  const body = make('div', {}, make('p', { class: 'mtor-quiet' }, 'Looking…'));
  const shown = new Map();

  /** A query's row stays the same element while it is there, so that its button keeps the focus. */
  function row({ id, words, line: told }) {
    const known = shown.get(id) ?? make('li', {});
    if (!known.firstChild) {
      const cancel = button('Cancel', () => line.ask({ kind: 'cancel', id }), {
        'aria-label': `Cancel: ${words}`
      });
      const bar = make('div', { class: 'mtor-bar' }, make('span', { class: 'mtor-ellipsis' }, words), cancel);
      known.append(bar, make('div', { class: 'mtor-quiet' }));
      shown.set(id, known);
    }
    known.lastChild.textContent = told;
    return known;
  }

  const list = make('ul', { 'aria-label': 'My queries' });
  const none = make('p', { class: 'mtor-quiet' }, 'Nothing of yours is under way.');
  const paused = make('p', { class: 'mtor-trouble' }, 'The sysop has paused admission.');
  const lanes = make('div');

  line.on('queue', ({ open, mine, lanes: found }) => {
    if (!list.isConnected) {
      body.replaceChildren(make('p', { class: 'mtor-head' }, 'My queries'), none, list, make('p', { class: 'mtor-head' }, 'Lanes'), paused, lanes);
    }
    const rows = mine.map(row);
    for (const [id, element] of shown) {
      if (!rows.includes(element)) {
        element.remove();
        shown.delete(id);
      }
    }
    rows.forEach((element, at) => {
      if (list.children[at] !== element) {
        list.insertBefore(element, list.children[at] ?? null);
      }
    });
    none.hidden = rows.length > 0;
    list.hidden = rows.length === 0;
    paused.hidden = open;
    lanes.replaceChildren(table('Lanes', ['Model', 'Running', 'Waiting', 'Wait'], found.map(named)));
  });

  function named({ trouble, cells: [model, ...rest] }) {
    const name = make('span', {}, model);
    if (trouble) {
      name.append(make('div', { class: 'mtor-trouble' }, trouble));
    }
    return [name, ...rest];
  }

  root.append(body);
});
