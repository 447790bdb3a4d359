// What one has, and what one spent.
import { make, widget } from './common.js';
import { table } from './table.js';

export default widget(({ root, line }) => {
  const body = make('div', {}, make('p', { class: 'mtor-quiet' }, 'Looking…'));

  line.on('cost', ({ balance, held, unlimited, spent, span, models, days }) => {
    const has = unlimited ? `${balance} credits; costs are shown, never refused` : `${balance} credits`;
    body.replaceChildren(
      make('p', {}, make('strong', {}, has), held && ` · ${held} held`),
      make('p', {}, `${spent} credits spent ${span}.`)
    );
    if (models.length) {
      body.append(make('p', { class: 'mtor-head' }, 'By model'), table('By model', ['Model', 'Queries', 'Credits'], models));
    }
    if (days.length) {
      const rows = days.map(({ day, credits, share }) => [day, bar(day, share), credits]);
      body.append(make('p', { class: 'mtor-head' }, 'By day'), table('By day', ['Day', 'Share', 'Credits'], rows));
    }
  });

  function bar(day, share) {
    return make('meter', { min: 0, max: 1, value: share, 'aria-label': `${day} beside the dearest day` });
  }

  root.append(body);
});
