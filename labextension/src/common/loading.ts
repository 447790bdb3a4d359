// What a component reads from the realm, for as long as it is there.
import { useCallback, useEffect, useRef, useState, type DependencyList } from 'react';
import type { IPage } from '../tokens';

/** What was read last, and why reading failed; empty where it did not. */
export interface ILoaded<T> {
  value: T;
  trouble: string;
}

/** Read now, and again when one of `wanted` changes; what comes when nobody is left is dropped. */
export function useLoaded<T>(load: () => Promise<T>, first: T, wanted: DependencyList): ILoaded<T> {
  const [loaded, setLoaded] = useState<ILoaded<T>>({ value: first, trouble: '' });
  useEffect(() => {
    let gone = false;
    load().then(
      value => gone || setLoaded({ value, trouble: '' }),
      (reason: Error) =>
        gone || setLoaded(before => ({ value: before.value, trouble: reason.message }))
    );
    return () => {
      gone = true;
    };
    // `load` is made anew with each rendering: what it reads is named by `wanted`.
  }, wanted);
  return loaded;
}

/** A list that is read page by page. */
export interface IPaged<T> extends ILoaded<ReadonlyArray<T>> {
  /** Read the next page; `null` where there is none. */
  more: (() => void) | null;
}

/** What is read of a list: its first pages, and where the next begins. */
interface IRead<T> {
  items: ReadonlyArray<T>;
  next: string;
  trouble: string;
}

/**
 * Read the first page, and again when one of `wanted` changes, and further pages when they are asked for;
 * a page of what is not wanted any more is dropped. It is read again as well when `news` changes, unless
 * somebody has gone on to further pages and looks at those.
 */
export function usePaged<T>(
  load: (before: string) => Promise<IPage<T>>,
  wanted: DependencyList,
  news = 0
): IPaged<T> {
  const [read, setRead] = useState<IRead<T>>({ items: [], next: '', trouble: '' });
  const round = useRef(0);
  const deep = useRef(false);
  const fetch = useCallback((before: string, kept: ReadonlyArray<T>) => {
    const here = round.current;
    load(before).then(
      page =>
        here === round.current &&
        setRead({ items: [...kept, ...page.items], next: page.next ?? '', trouble: '' }),
      (reason: Error) =>
        here === round.current && setRead(known => ({ ...known, trouble: reason.message }))
    );
    // `load` is made anew with each rendering: what it reads is named by `wanted`.
  }, wanted);
  useEffect(() => {
    deep.current = false;
    fetch('', []);
    return () => {
      round.current++;
    };
  }, [fetch]);
  const told = useRef(news);
  useEffect(() => {
    if (told.current !== news && !deep.current) {
      fetch('', []);
    }
    told.current = news;
  }, [fetch, news]);
  const { items, next, trouble } = read;
  const more = (): void => {
    deep.current = true;
    fetch(next, items);
  };
  return { value: items, trouble, more: next ? more : null };
}
