// A small line of figures over time.
import React from 'react';

const WIDTH = 240;
const HEIGHT = 32;

/** Draw `values`, oldest first, from zero to the greatest of them. */
export function Sparkline(props: { values: ReadonlyArray<number>; label: string }): JSX.Element {
  const { values, label } = props;
  const most = Math.max(1, ...values);
  const step = WIDTH / Math.max(1, values.length - 1);
  const points = values.map(
    (value, index) => `${(index * step).toFixed(1)},${(HEIGHT - (value / most) * HEIGHT).toFixed(1)}`
  );
  return (
    <svg
      className="jp-mtor-sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <polyline points={points.join(' ')} fill="none" vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
