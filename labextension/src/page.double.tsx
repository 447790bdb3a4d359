// A page for a component under test.
import { act, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';

/** Longer than whatever a component waits for. */
const SOON_MS = 1000;

/** Show something; needs jest's false timers. */
export function page(element: ReactElement): {
  /** The words that are seen. */
  shows: () => string;
  node: HTMLElement;
  /** Show something else in its place. */
  show: (element: ReactElement) => void;
  /** Do something, and let the page take note of it. */
  until: (doing: () => void) => Promise<void>;
} {
  const node = document.createElement('div');
  const root = createRoot(node);
  act(() => root.render(element));
  const until = (doing: () => void): Promise<void> =>
    act(async () => {
      doing();
      await jest.advanceTimersByTimeAsync(SOON_MS);
    });
  const show = (other: ReactElement): void => root.render(other);
  return { shows: () => node.textContent ?? '', node, show, until };
}

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());
(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
