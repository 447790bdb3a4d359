// What the unit tests need of React's other half, which ships no types.
declare module 'react-dom/client' {
  import type { ReactElement } from 'react';

  export function createRoot(node: Element): { render(element: ReactElement): void };
}
