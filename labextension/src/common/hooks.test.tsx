import { Signal } from '@lumino/signaling';
import React, { useLayoutEffect } from 'react';
import { page } from '../page.double';
import { usePaced, useSignals } from './hooks';

test.each([
  ['at once', useSignals],
  ['paced', usePaced]
])('what changes before React subscribes is shown, %s', async (_, follow) => {
  const model = { words: 'before' };
  const changed = new Signal<object, void>(model);
  function Words(): JSX.Element {
    follow(changed);
    // After the render, and before what a component subscribes in.
    useLayoutEffect(() => {
      if (model.words === 'before') {
        model.words = 'after';
        changed.emit();
      }
    });
    return <>{model.words}</>;
  }
  const { shows, until } = page(<Words />);
  await until(() => undefined);
  expect(shows()).toBe('after');
});
