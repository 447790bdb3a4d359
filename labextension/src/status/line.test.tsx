import { nullTranslator } from '@jupyterlab/translation';
import React from 'react';
import { realmOf } from '../realm.double';
import { page } from '../page.double';
import { Line } from './line';

const trans = nullTranslator.load('mtor_realm');
const QUERY = {
  model: 'chat',
  messages: [{ role: 'user' as const, parts: [{ type: 'text' as const, text: 'hi' }] }]
};
const ID = 'a'.repeat(32);

test('it tells of the connection, the place in the queue and the credits', async () => {
  const me = { name: 'ada', balance_micro: 5_000_000, held_micro: 500_000 };
  const { realm, sockets } = realmOf({ 'api/me': me });
  const { shows, until } = page(<Line realm={realm} trans={trans} open={() => undefined} />);
  expect(shows()).toBe('MTOR: no realm yet');
  await until(() => sockets[0].open());
  expect(shows()).toBe('MTOR: 4.50 credits');
  await until(() => {
    realm.ask(QUERY, 'k1');
    sockets[0].tell({ op: 'admitted', id: 'k1', query: ID, model: 'echo', hold_micro: 7 });
    sockets[0].tell({ op: 'queued', query: ID, position: 3, eta_seconds: 90 });
  });
  expect(shows()).toBe('MTOR: Waiting: 3 before you, about 2 min');
  me.balance_micro = 4_000_000;
  await until(() => {
    sockets[0].tell({ op: 'started', query: ID, attempt: 1 });
    sockets[0].tell({ op: 'settled', query: ID, attempt: 1, model: 'echo', charge: {} });
  });
  expect(shows()).toBe('MTOR: 3.50 credits');
  await until(() => sockets[0].onclose?.({ code: 1006 }));
  expect(shows()).toBe('MTOR: connecting again…');
  realm.dispose();
});

test('whoever has no floor is told what was spent', async () => {
  const me = { name: 'ada', balance_micro: -2_000_000, held_micro: 0, unlimited: true };
  const { realm, sockets } = realmOf({ 'api/me': me });
  const { shows, until } = page(<Line realm={realm} trans={trans} open={() => undefined} />);
  await until(() => sockets[0].open());
  expect(shows()).toBe('MTOR: 2.00 credits spent');
  realm.dispose();
});

test('what a cell has spent is told', async () => {
  const me = { name: 'ada', balance_micro: 5_000_000, held_micro: 0 };
  const { realm, sockets } = realmOf({ 'api/me': me });
  const { shows, until } = page(<Line realm={realm} trans={trans} open={() => undefined} />);
  await until(() => sockets[0].open());
  expect(shows()).toBe('MTOR: 5.00 credits');
  me.balance_micro = 3_000_000;
  await until(() => realm.askedElsewhere());
  expect(shows()).toBe('MTOR: 3.00 credits');
  realm.dispose();
});
