// How React follows the panel's models.
import type { ISignal } from '@lumino/signaling';
import { useEffect, useReducer, useRef } from 'react';

/**
 * Render again when one of the signals is emitted: at most once a frame, however often that is.
 * A stream of hundreds of chunks a second costs as many renders as the screen can show.
 */
export function useSignals(...signals: ReadonlyArray<ISignal<unknown, unknown> | undefined>): void {
  const [, render] = useReducer((count: number) => count + 1, 0);
  const frame = useRef(0);
  useEffect(() => {
    const schedule = (): void => {
      if (frame.current === 0) {
        frame.current = requestAnimationFrame(() => {
          frame.current = 0;
          render();
        });
      }
    };
    for (const signal of signals) {
      signal?.connect(schedule);
    }
    return () => {
      cancelAnimationFrame(frame.current);
      frame.current = 0;
      for (const signal of signals) {
        signal?.disconnect(schedule);
      }
    };
    // The signals are the dependencies, each by itself.
  }, signals);
}
