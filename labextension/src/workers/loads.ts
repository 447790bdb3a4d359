// How busy each worker was in the last minutes. Pure.
import type { WorkerInfo } from '../protocol';

/** For so long a reading is kept: what the chart shows from left to right. */
export const SPAN_MS = 5 * 60_000;

/** One reading of a worker's load. */
export interface ILoad {
  /** Milliseconds of the page's clock. */
  at: number;
  percent: number;
}

export class Loads {
  /** Note what the workers say of themselves now. */
  note(workers: ReadonlyArray<WorkerInfo>, now: number): void {
    const names = new Set(workers.map(one => one.name));
    for (const name of this._all.keys()) {
      if (!names.has(name)) {
        this._all.delete(name);
      }
    }
    for (const { name, cpu_percent } of workers) {
      const young = this.of(name).filter(one => now - one.at < SPAN_MS);
      this._all.set(name, [...young, { at: now, percent: cpu_percent ?? 0 }]);
    }
  }

  /** Return what is known of a worker, oldest first. */
  of(name: string): ReadonlyArray<ILoad> {
    return this._all.get(name) ?? [];
  }

  private readonly _all = new Map<string, ReadonlyArray<ILoad>>();
}
