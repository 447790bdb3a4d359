// How far a map is, and a button that ends it.
import { button, make, reveal, say, widget } from './common.js';

const BUSY = 'The kernel hears no button while this cell runs: interrupt it (■) to stop the map.';

export default widget(({ root, line }) => {
  const estimate = make('p', { class: 'mtor-quiet' });
  const progress = make('progress', { max: 1, 'aria-label': 'Rows of the map' });
  const stop = button('Stop', () => {
    stop.disabled = true;
    line.ask({ kind: 'stop' });
  });
  const facts = make('p');
  const waits = make('p', { class: 'mtor-quiet', role: 'status' });

  line.on('map', map => {
    say(estimate, map.estimate);
    progress.max = map.total;
    progress.value = map.ended;
    say(facts, [map.counts, map.failed, map.earlier, map.credits, map.left].filter(Boolean).join(' · '));
    say(waits, map.waits);
    reveal(map.ended < map.total, stop);
  });
  root.append(estimate, make('div', { class: 'mtor-bar' }, progress, stop), facts, waits);
}, BUSY);
