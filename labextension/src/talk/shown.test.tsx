import { nullTranslator } from '@jupyterlab/translation';
import React from 'react';
import { realmOf } from '../realm.double';
import { page } from '../page.double';
import { PromptsShown } from './shown';

const trans = nullTranslator.load('mtor_realm');

test.each([true, false])('whoever asks is told whether sysops see it: %j', async prompts_shown => {
  const { realm, sockets } = realmOf();
  const { shows, until } = page(<PromptsShown realm={realm} trans={trans} />);
  expect(shows()).toBe('');
  await until(() => sockets[0].open(1, { prompts_shown }));
  expect(shows().includes('see the first words of what you ask')).toBe(prompts_shown);
});
