// Figures as people read them. Amounts are integers of micro-credits; a million is one credit.
export const MICRO = 1_000_000;

/** Return an amount of credits, to three significant places below one credit. */
export function credits(micro: number): string {
  if (micro === 0) {
    return '0';
  }
  const whole = micro / MICRO;
  const size = Math.abs(whole);
  if (size >= 1) {
    return whole.toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  }
  return size >= 1e-4
    ? String(Number(whole.toPrecision(3)))
    : whole.toFixed(6).replace(/0+$/, '').replace(/\.$/, '');
}

/** Return a time span: `3.2 s`, `2 min`, `1 h 5 min`. */
export function span(seconds: number): string {
  if (seconds < 60) {
    return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  }
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Return a size in bytes: `512 B`, `1.4 MB`. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
