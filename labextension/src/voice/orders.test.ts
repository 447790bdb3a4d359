import { understand } from './orders';

test.each([
  ['Computer, what do bees make?', 'chat', 'what do bees make?'],
  ['Hey computer! Draw a red heart.', 'imagine', 'a red heart.'],
  ['computer stop', 'stop', ''],
  ['Computer. Look at this.', 'look', ''],
  ['Computer, look: what does it say?', 'look', 'what does it say?'],
  ['Computer, what is this?', 'look', 'what is this?'],
  ['Computer, what do you see?', 'look', 'what do you see?'],
  ['Computer, what is this river called?', 'chat', 'what is this river called?'],
  ['Computer, look up the capital of France.', 'chat', 'look up the capital of France.'],
  ['Computer, looking good!', 'chat', 'looking good!'],
  ['Computer, repeat that.', 'repeat', ''],
  ['Computer, help!', 'help', ''],
  ['Okay, computer, goodbye.', 'goodbye', ''],
  ['Computer.', 'chat', '']
])('%j is understood', (said, order, rest) => {
  expect(understand(said)).toEqual({ called: true, order, rest });
});

test.each(['What do bees make?', 'My computer is slow.', ''])('%j calls nobody', said => {
  expect(understand(said).called).toBe(false);
});

test('a question that only begins like an order stays a question', () => {
  expect(understand('Computer, stop words are what?').order).toBe('chat');
  expect(understand('Computer, help me write a letter').rest).toBe('help me write a letter');
});
