// How often what streams in is shown anew. Pure.

/** As often as a reader sees words come. */
const LEAST_MS = 50;
/** However much else the machine has to do, something moves. */
const MOST_MS = 600;
/** A frame that takes longer was late: a screen shows sixty a second, or more. */
const LATE_MS = 25;
const SLOWER = 2;
const FASTER = 0.9;

/**
 * Tells when to show the next words. Where showing some has made a frame late, half as often; otherwise
 * a little more often, up to what a reader sees. So a page finds by itself what its machine can do.
 */
export class Pace {
  /** Tell whether it is time to show something, in a frame that begins `now`. */
  due(now: number): boolean {
    return now - this._last >= this._pause;
  }

  /** Something is shown in the frame that begins `now`. */
  begin(now: number): void {
    this._last = now;
  }

  /** The next frame begins `now`. */
  end(now: number): void {
    const late = now - this._last > LATE_MS;
    const pause = this._pause * (late ? SLOWER : FASTER);
    this._pause = Math.max(LEAST_MS, Math.min(MOST_MS, pause));
  }

  private _last = -Infinity;
  private _pause = LEAST_MS;
}
