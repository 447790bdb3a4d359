// How React follows the panel's models.
import type { ISignal } from '@lumino/signaling';
import { useEffect, useReducer, useRef, useState, type MutableRefObject } from 'react';
import { Pace } from './pace';

/**
 * Render again when one of the signals is emitted: at most once a frame, however often that is.
 * A stream of hundreds of chunks a second costs as many renders as the screen can show.
 */
export function useSignals(...signals: ReadonlyArray<ISignal<unknown, unknown> | undefined>): void {
  const [, render] = useReducer((count: number) => count + 1, 0);
  const frame = useRef(0);
  useEffect(() => {
    const onFrame = (): void => {
      frame.current = 0;
      render();
    };
    return onEmitted(signals, frame, onFrame);
    // The signals are the dependencies, each by itself.
  }, signals);
}

/**
 * Render again when the signal is emitted, a few times a second at most, and less often where that takes
 * long. The frames between two renders are the page's own, for what is typed and scrolled.
 */
export function usePaced(signal: ISignal<unknown, unknown> | undefined): void {
  const [, render] = useReducer((count: number) => count + 1, 0);
  const frame = useRef(0);
  const pace = useRef(new Pace());
  useEffect(() => {
    let more = false;
    const onFrame = (now: number): void => {
      if (!pace.current.due(now)) {
        frame.current = requestAnimationFrame(onFrame);
        return;
      }
      more = false;
      pace.current.begin(now);
      render();
      frame.current = requestAnimationFrame(onNext);
    };
    const onNext = (now: number): void => {
      pace.current.end(now);
      frame.current = more ? requestAnimationFrame(onFrame) : 0;
    };
    const onNews = (): void => {
      more = true;
    };
    signal?.connect(onNews);
    const away = onEmitted([signal], frame, onFrame);
    return () => {
      away();
      signal?.disconnect(onNews);
    };
  }, [signal]);
}

/**
 * Have the next frame begin `onFrame` when a signal is emitted and no frame is awaited yet. Once now, too: React
 * subscribes some time after it has rendered, and what was emitted in between nobody heard.
 */
function onEmitted(
  signals: ReadonlyArray<ISignal<unknown, unknown> | undefined>,
  frame: MutableRefObject<number>,
  onFrame: (now: number) => void
): () => void {
  const schedule = (): void => {
    if (frame.current === 0) {
      frame.current = requestAnimationFrame(onFrame);
    }
  };
  for (const signal of signals) {
    signal?.connect(schedule);
  }
  schedule();
  return () => {
    cancelAnimationFrame(frame.current);
    frame.current = 0;
    for (const signal of signals) {
      signal?.disconnect(schedule);
    }
  };
}

/** Count how often a signal was emitted: what is read anew each time names it. */
export function useCount(signal: ISignal<unknown, unknown>): number {
  const [count, setCount] = useState(0);
  useEffect(() => {
    const onEmitted = (): void => setCount(before => before + 1);
    signal.connect(onEmitted);
    return () => {
      signal.disconnect(onEmitted);
    };
  }, [signal]);
  return count;
}

/** Give what `value` was once it has rested for so long; at once where it is empty. */
export function useRested(value: string, ms: number): string {
  const [rested, setRested] = useState(value);
  useEffect(() => {
    const timer = window.setTimeout(() => setRested(value), value ? ms : 0);
    return () => window.clearTimeout(timer);
  }, [value, ms]);
  return rested;
}
