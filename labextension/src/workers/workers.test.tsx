import { nullTranslator } from '@jupyterlab/translation';
import React from 'react';
import { realmOf } from '../realm.double';
import { page } from '../page.double';
import { Loads, SPAN_MS } from './loads';
import { Workers } from './workers';

const trans = nullTranslator.load('mtor_realm');

function worker(cpu_percent: number): { name: string; state: 'well'; cpu_percent: number } {
  return { name: 'worker-0', state: 'well', cpu_percent };
}

test('a chart tells how busy a worker was, also before one went to another tab', async () => {
  const { realm, sockets } = realmOf();
  const loads = new Loads();
  const shown = page(<Workers realm={realm} loads={loads} trans={trans} />);
  const heights = (node: HTMLElement): string[] =>
    (node.querySelector('polyline')?.getAttribute('points') ?? '')
      .split(' ')
      .map(point => point.split(',')[1]);
  await shown.until(() => sockets[0].open());
  for (const percent of [0, 50, 100]) {
    const workers = [worker(percent)];
    await shown.until(() => sockets[0].tell({ op: 'realm', lanes: [], workers }));
  }
  // The higher, the busier: 32 is the ground.
  expect(heights(shown.node)).toEqual(['32.0', '16.0', '0.0']);
  expect(shown.shows()).toContain('100 % CPU');
  const again = page(<Workers realm={realm} loads={loads} trans={trans} />);
  expect(heights(again.node)).toEqual(['32.0', '16.0', '0.0']);
  realm.dispose();
});

test('what is older than the chart is forgotten, and so is a worker that has left', () => {
  const loads = new Loads();
  loads.note([worker(10)], 0);
  loads.note([worker(20)], SPAN_MS / 2);
  loads.note([worker(30)], SPAN_MS + 1);
  expect(loads.of('worker-0').map(one => one.percent)).toEqual([20, 30]);
  loads.note([], SPAN_MS + 2);
  expect(loads.of('worker-0')).toEqual([]);
});
