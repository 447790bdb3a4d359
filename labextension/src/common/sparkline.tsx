// A small line of figures over time.
import React from 'react';

const WIDTH = 240;
const HEIGHT = 32;

/** One figure: when it was (0 left, 1 right), and what. */
export interface IPoint {
  x: number;
  y: number;
}

/** Draw points, oldest first, from zero to the greatest of them, or to `most` where none is as great. */
export function Sparkline(props: {
  points: ReadonlyArray<IPoint>;
  most: number;
  label: string;
}): JSX.Element {
  const { points, label } = props;
  const most = Math.max(props.most, ...points.map(one => one.y));
  const places = points.map(
    ({ x, y }) => `${(x * WIDTH).toFixed(1)},${(HEIGHT - (y / most) * HEIGHT).toFixed(1)}`
  );
  return (
    <svg
      className="jp-mtor-sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <polyline points={places.join(' ')} fill="none" vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
