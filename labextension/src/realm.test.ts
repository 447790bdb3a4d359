import { realmOf } from './realm.double';

const QUERY = {
  model: 'chat',
  messages: [{ role: 'user' as const, parts: [{ type: 'text' as const, text: 'hi' }] }]
};
const ID = 'a'.repeat(32);

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

test('what is asked before the socket is open is said when it is', () => {
  const { realm, sockets } = realmOf();
  const running = realm.ask(QUERY, 'k1');
  expect(sockets[0].heard).toEqual([]);
  sockets[0].open();
  expect(sockets[0].said('submit')).toHaveLength(1);
  expect(running.stage).toBe('sending');
});

test('an answer comes whole, and its end settles it', async () => {
  const { realm, sockets } = realmOf();
  const [socket] = sockets;
  socket.open();
  const running = realm.ask(QUERY, 'k1');
  socket.tell({ op: 'admitted', id: 'k1', query: ID, model: 'echo', hold_micro: 7 });
  socket.tell({ op: 'queued', query: ID, position: 3, eta_seconds: 2 });
  expect([running.stage, running.position, running.hold]).toEqual(['queued', 3, 7]);
  socket.tell({ op: 'started', query: ID, attempt: 1 });
  socket.tell({ op: 'chunk', query: ID, attempt: 1, seq: 0, next: 5, text: 'hello' });
  socket.tell({ op: 'settled', query: ID, attempt: 1, model: 'echo', charge: {} });
  await running.done;
  expect([running.stage, running.text, running.end?.op]).toEqual(['ended', 'hello', 'settled']);
  expect(realm.running).toEqual([]);
});

test('who answers instead, and why, is taken over', () => {
  const { realm, sockets } = realmOf();
  sockets[0].open();
  const running = realm.ask(QUERY, 'k1');
  sockets[0].tell({ op: 'admitted', id: 'k1', query: ID, model: 'first', hold_micro: 7 });
  sockets[0].tell({ op: 'started', query: ID, attempt: 1, model: 'second', reason: 'first rests' });
  expect([running.model, running.requeued]).toEqual(['second', 'first rests']);
});

test('a lost socket is opened again, and goes on where it was', () => {
  const { realm, sockets } = realmOf();
  sockets[0].open();
  const running = realm.ask(QUERY, 'k1');
  sockets[0].tell({ op: 'admitted', id: 'k1', query: ID, model: 'echo', hold_micro: 7 });
  sockets[0].tell({ op: 'chunk', query: ID, attempt: 1, seq: 0, next: 3, text: 'hel' });
  sockets[0].onclose?.({ code: 1006 });
  expect(realm.connection).toBe('connecting');
  jest.advanceTimersByTime(1000);
  expect(sockets).toHaveLength(2);
  sockets[1].open();
  expect(sockets[1].said('resume')).toEqual([{ op: 'resume', query: ID, attempt: 1, seq: 3 }]);
  sockets[1].tell({ op: 'chunk', query: ID, attempt: 1, seq: 3, next: 5, text: 'lo' });
  expect(running.text).toBe('hello');
});

test('a socket on which nobody says welcome is given up for another', () => {
  const { realm, sockets } = realmOf();
  sockets[0].onopen?.();
  jest.advanceTimersByTime(30_000);
  expect(sockets.length).toBeGreaterThan(1);
  sockets[sockets.length - 1].open();
  const opened = sockets.length;
  jest.advanceTimersByTime(60_000);
  expect([realm.connection, sockets.length]).toEqual(['open', opened]);
});

test('a submission that nobody answered is said again with the same key', () => {
  const { realm, sockets } = realmOf();
  sockets[0].open();
  realm.ask(QUERY, 'k1');
  sockets[0].onclose?.({ code: 1006 });
  jest.advanceTimersByTime(1000);
  sockets[1].open();
  expect(sockets[1].said('submit')).toEqual([{ op: 'submit', id: 'k1', key: 'k1', query: QUERY }]);
});

test('a refusal ends the query with its reason', async () => {
  const { realm, sockets } = realmOf();
  sockets[0].open();
  const running = realm.ask(QUERY, 'k1');
  const error = { code: 'quota_exceeded', message: 'Wait a minute.' };
  sockets[0].tell({ op: 'refused', id: 'k1', error });
  await running.done;
  expect(running.refusal).toEqual(error);
});

test('what is cancelled before it is admitted is stopped as soon as it is', () => {
  const { realm, sockets } = realmOf();
  sockets[0].open();
  const running = realm.ask(QUERY, 'k1');
  running.cancel();
  expect(sockets[0].said('cancel')).toEqual([]);
  sockets[0].tell({ op: 'admitted', id: 'k1', query: ID, model: 'echo', hold_micro: 7 });
  expect(sockets[0].said('cancel')).toEqual([{ op: 'cancel', query: ID }]);
});

test('a realm that turns one away is asked again seldom, and its reason is kept', () => {
  const { realm, sockets } = realmOf();
  sockets[0].open();
  sockets[0].tell({ op: 'error', error: { code: 'banned', message: 'You are banned.' } });
  sockets[0].onclose?.({ code: 1008 });
  expect(realm.connection).toBe('refused');
  expect(realm.refusal?.message).toBe('You are banned.');
  jest.advanceTimersByTime(10_000);
  expect(sockets).toHaveLength(1);
  jest.advanceTimersByTime(20_000);
  expect(sockets).toHaveLength(2);
});
