// Answers to rows of a table: a numbered list, words as they are.
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useState } from 'react';
import { rowsOf } from '../common/rows';
import type { RowAnswer, TableRow } from '../protocol';

/** So many rows are shown at first, and more with each wish for more. */
const SHOWN = 20;

export function RowList(props: {
  answers: ReadonlyArray<RowAnswer>;
  /** All rows that were asked about, where that is known. */
  asked?: ReadonlyArray<TableRow>;
  /** More of it comes. */
  grows?: boolean;
  trans: TranslationBundle;
}): JSX.Element {
  const { answers, asked, grows, trans } = props;
  const [most, setMost] = useState(SHOWN);
  const rows = rowsOf(answers, asked);
  const rest = rows.length - most;
  const missing = asked && !grows ? asked.length - rows.length : 0;
  return (
    <>
      <ol className="jp-mtor-rows" aria-label={trans.__('Answers by row')}>
        {rows.slice(0, most).map(row => (
          <li key={row.place} value={row.place}>
            {row.asked && <div className="jp-mtor-quiet jp-mtor-ellipsis" dir="auto">{row.asked}</div>}
            <div className={row.failed ? 'jp-mtor-trouble' : 'jp-mtor-words'} dir="auto">
              {row.said || trans.__('(no words)')}
            </div>
          </li>
        ))}
      </ol>
      {rest > 0 && (
        <button type="button" className="jp-mtor-more" onClick={() => setMost(most + SHOWN)}>
          {trans._n('Show more: %1 row is left', 'Show more: %1 rows are left', rest)}
        </button>
      )}
      {missing > 0 && (
        <p className="jp-mtor-quiet">
          {trans._n('%1 row has no answer here.', '%1 rows have no answer here.', missing)}
        </p>
      )}
    </>
  );
}
