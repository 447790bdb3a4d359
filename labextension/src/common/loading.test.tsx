import React from 'react';
import { page } from '../page.double';
import type { IPage } from '../tokens';
import { usePaged } from './loading';

/** Pages of two, of words that begin with `of`; a page is there when it is let go. */
function List(props: {
  of: string;
  news?: number;
  load: (of: string, before: string) => Promise<IPage<string>>;
}): JSX.Element {
  const { of, load, news } = props;
  const { value, trouble, more } = usePaged(before => load(of, before), [of], news);
  return (
    <>
      {value.join(' ')} {trouble} {more && <button onClick={more}>more</button>}
    </>
  );
}

test('pages follow one another, until there is none', async () => {
  const pages: Record<string, IPage<string>> = {
    '': { items: ['a', 'b'], next: 'b' },
    b: { items: ['c'] }
  };
  const { shows, node, until } = page(<List of="" load={async (_, before) => pages[before]} />);
  await until(() => undefined);
  expect(shows()).toBe('a b  more');
  await until(() => node.querySelector('button')!.click());
  expect(shows()).toBe('a b c  ');
});

test('why a page is not there is said, and what was read stays', async () => {
  const load = async (_: string, before: string): Promise<IPage<string>> => {
    if (before) {
      throw new Error('The realm is closing.');
    }
    return { items: ['a'], next: 'a' };
  };
  const { shows, node, until } = page(<List of="" load={load} />);
  await until(() => undefined);
  await until(() => node.querySelector('button')!.click());
  expect(shows()).toBe('a The realm is closing. more');
});

test('a page of what is not wanted any more is dropped', async () => {
  const late: Record<string, (page: IPage<string>) => void> = {};
  const load = (of: string): Promise<IPage<string>> =>
    new Promise(resolve => {
      late[of] = resolve;
    });
  const { shows, show, until } = page(<List of="old" load={load} />);
  await until(() => show(<List of="new" load={load} />));
  await until(() => late.new({ items: ['new'] }));
  await until(() => late.old({ items: ['old'] }));
  expect(shows()).toBe('new  ');
});

test('news are read, but nobody is taken away from the pages that were opened', async () => {
  const items = ['a', 'b'];
  const load = async (_: string, before: string): Promise<IPage<string>> =>
    before ? { items: ['z'] } : { items: [...items], next: 'b' };
  const { shows, show, node, until } = page(<List of="" news={0} load={load} />);
  await until(() => undefined);
  items.unshift('new');
  await until(() => show(<List of="" news={1} load={load} />));
  expect(shows()).toBe('new a b  more');
  await until(() => node.querySelector('button')!.click());
  items.unshift('newer');
  await until(() => show(<List of="" news={2} load={load} />));
  expect(shows()).toBe('new a b z  ');
  await until(() => show(<List of="other" news={2} load={load} />));
  expect(shows()).toBe('newer new a b  more');
});
