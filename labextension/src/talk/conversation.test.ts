import { nullTranslator } from '@jupyterlab/translation';
import { realmOf } from '../realm.double';
import { Conversation } from './conversation';

const trans = nullTranslator.load('mtor_realm');

test('the model that was chosen is there again on the next page, before anything was asked', () => {
  const before = new Conversation(realmOf().realm, trans);
  before.model = 'smollm2';
  const after = new Conversation(realmOf().realm, trans);
  after.restore(JSON.parse(JSON.stringify(before.keep())) as ReturnType<typeof before.keep>);
  expect(after.model).toBe('smollm2');
  expect(after.draft('hi').model).toBe('smollm2');
});

test('what was said goes along with the next question, and is forgotten with the conversation', () => {
  const { realm, sockets } = realmOf();
  sockets[0].open();
  const conversation = new Conversation(realm, trans);
  const turns = [
    { role: 'user' as const, parts: [{ type: 'text' as const, text: 'hi' }], query: '', trouble: '' },
    { role: 'assistant' as const, parts: [{ type: 'text' as const, text: 'ho' }], query: '', trouble: '' }
  ];
  conversation.restore({ model: 'echo', turns });
  expect(conversation.draft('more').messages.map(one => one.role)).toEqual(['user', 'assistant', 'user']);
  conversation.forget();
  expect(conversation.draft('more').messages).toHaveLength(1);
  realm.dispose();
});

test('of answers that are huge only the latest are kept for the next page, and one at least', () => {
  const conversation = new Conversation(realmOf().realm, trans);
  const turn = (length: number): ReturnType<typeof conversation.keep>['turns'][number] => ({
    role: 'assistant',
    parts: [{ type: 'text', text: 'x'.repeat(length) }],
    query: '',
    trouble: ''
  });
  conversation.restore({ model: 'echo', turns: [400_000, 300_000, 100_000].map(turn) });
  expect(conversation.keep().turns).toHaveLength(2);
  conversation.restore({ model: 'echo', turns: [1, 2_000_000].map(turn) });
  expect(conversation.keep().turns).toHaveLength(1);
});
