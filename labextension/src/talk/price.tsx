// What a question costs at most, before it is asked.
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useState } from 'react';
import { credits, span } from '../common/figures';
import type { IQuote, IRealm } from '../tokens';
import type { Conversation } from './conversation';

/** How long nobody may type before the price is asked for. */
const QUOTE_MS = 400;

/** What the question would cost at most, and how long it would wait. */
export function Price(props: {
  realm: IRealm;
  conversation: Conversation;
  prompt: string;
  trans: TranslationBundle;
}): JSX.Element {
  const { realm, conversation, prompt, trans } = props;
  const [quote, setQuote] = useState<IQuote | null>(null);
  const model = conversation.model;
  useEffect(() => {
    setQuote(null);
    if (!prompt.trim()) {
      return;
    }
    let gone = false;
    const timer = window.setTimeout(() => {
      realm.quote(conversation.draft(prompt)).then(
        found => gone || setQuote(found),
        () => undefined // sending says what is wrong
      );
    }, QUOTE_MS);
    return () => {
      gone = true;
      window.clearTimeout(timer);
    };
  }, [realm, conversation, prompt, model]);
  if (!quote) {
    return <span className="jp-mtor-quiet" />;
  }
  const wait = quote.eta_seconds ? trans.__('about %1 to wait', span(quote.eta_seconds)) : '';
  return (
    <span className="jp-mtor-quiet jp-mtor-price" title={trans.__('What the question costs at most')}>
      ≤ {trans.__('%1 credits', credits(quote.hold_micro))} {wait && `· ${wait}`}
    </span>
  );
}
