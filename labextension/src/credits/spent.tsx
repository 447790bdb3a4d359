// A bar a day, a colour a model.
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';
import { credits } from '../common/figures';
import type { UsageRow } from '../protocol';

const WIDTH = 300;
const HEIGHT = 80;
/** As many colours as the style has; further models share the last. */
const COLOURS = 6;

export function Spent(props: {
  rows: ReadonlyArray<UsageRow>;
  days: number;
  trans: TranslationBundle;
}): JSX.Element {
  const { rows, days, trans } = props;
  const models = Array.from(new Set(rows.map(row => row.model)));
  const dates = lastDays(days);
  const sums = dates.map(day => sum(rows.filter(row => row.day === day)));
  const most = Math.max(1, ...sums);
  const width = WIDTH / days;
  if (rows.length === 0) {
    return <p className="jp-mtor-quiet">{trans.__('Nothing yet.')}</p>;
  }
  return (
    <figure className="jp-mtor-spent">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={describe(rows, models, trans)}>
        {dates.map((day, index) => {
          let top = HEIGHT;
          return models.map((model, number) => {
            const spent = sum(rows.filter(row => row.day === day && row.model === model));
            const height = (spent / most) * HEIGHT;
            top -= height;
            return height > 0 ? (
              <rect
                key={`${day} ${model}`}
                className={`jp-mtor-colour-${Math.min(number, COLOURS - 1)}`}
                x={index * width + 1}
                y={top}
                width={width - 2}
                height={height}
              >
                <title>{`${day} ${model}: ${credits(spent)}`}</title>
              </rect>
            ) : null;
          });
        })}
      </svg>
      <figcaption>
        {models.map((model, number) => (
          <span key={model}>
            <i className={`jp-mtor-key jp-mtor-colour-${Math.min(number, COLOURS - 1)}`} />
            {model} {credits(sum(rows.filter(row => row.model === model)))}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

function sum(rows: ReadonlyArray<UsageRow>): number {
  return rows.reduce((total, row) => total + (row.charge_micro ?? 0), 0);
}

/** Return the last days as the realm names them (UTC), today the last. */
function lastDays(count: number): string[] {
  const now = Date.now();
  return Array.from({ length: count }, (_, index) =>
    new Date(now - (count - 1 - index) * 86_400_000).toISOString().slice(0, 10)
  );
}

function describe(
  rows: ReadonlyArray<UsageRow>,
  models: string[],
  trans: TranslationBundle
): string {
  return trans.__('Spent: %1 credits on %2', credits(sum(rows)), models.join(', '));
}
