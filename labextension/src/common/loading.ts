// What a component reads from the realm, for as long as it is there.
import { useEffect, useState, type DependencyList } from 'react';

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
