// The side bar: one list of tabs, one of them open.
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { Signal } from '@lumino/signaling';
import React, { useRef } from 'react';
import { realmIcon } from '../common/icons';
import { useSignals } from '../common/hooks';
import type { IRealm } from '../tokens';

/** One tab of the panel. */
export interface ITab {
  id: string;
  label: string;
  /** Whether it is shown to whoever is here now. */
  isFor?: (realm: IRealm) => boolean;
  render: () => JSX.Element;
}

export class RealmPanel extends ReactWidget {
  constructor(
    private readonly _realm: IRealm,
    private readonly _tabs: ReadonlyArray<ITab>,
    /** What stands above a tab, by its id. */
    private readonly _above: (id: string) => JSX.Element | null,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.id = 'mtor-realm-panel';
    this.title.icon = realmIcon;
    this.title.caption = _trans.__('MTOR realm');
    this.addClass('jp-mtor-panel');
    this._open = _tabs[0].id;
  }

  /** The tab that is open. */
  get open(): string {
    return this._open;
  }

  set open(id: string) {
    if (this._tabs.some(tab => tab.id === id)) {
      this._open = id;
      this.opened.emit();
    }
  }

  override dispose(): void {
    Signal.clearData(this);
    super.dispose();
  }

  protected override render(): JSX.Element {
    const { _realm: realm, _tabs: tabs, _above: above, _trans: trans } = this;
    return <Tabs panel={this} {...{ realm, tabs, above, trans }} />;
  }

  /** Whoever opens it from the keyboard goes on there: at the question, or at the tab. */
  protected override onActivateRequest(msg: Parameters<ReactWidget['processMessage']>[0]): void {
    super.onActivateRequest(msg);
    // The tab that is wanted is shown with the next frame.
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        const question = this.node.querySelector<HTMLElement>('.jp-mtor-prompt');
        (question ?? this.node.querySelector<HTMLElement>('[aria-selected=true]'))?.focus();
      })
    );
  }

  /** Emitted when another tab is open. */
  readonly opened = new Signal<this, void>(this);
  private _open: string;
}

function Tabs(props: {
  panel: RealmPanel;
  realm: IRealm;
  tabs: ReadonlyArray<ITab>;
  above: (id: string) => JSX.Element | null;
  trans: TranslationBundle;
}): JSX.Element {
  const { panel, realm, tabs, above, trans } = props;
  useSignals(panel.opened, realm.connectionChanged);
  const list = useRef<HTMLDivElement>(null);
  const shown = tabs.filter(tab => tab.isFor?.(realm) ?? true);
  const open = shown.find(tab => tab.id === panel.open) ?? shown[0];

  /** The arrow keys walk, as in every list of tabs (WAI-ARIA). */
  const onKeyDown = (event: React.KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = shown.indexOf(open);
    const next =
      event.key === 'Home'
        ? 0
        : event.key === 'End'
          ? shown.length - 1
          : step && (at + step + shown.length) % shown.length;
    if (next !== undefined) {
      event.preventDefault();
      panel.open = shown[next].id;
      list.current?.querySelectorAll<HTMLElement>('[role=tab]')[next]?.focus();
    }
  };
  return (
    <>
      <div
        className="jp-mtor-tabs"
        role="tablist"
        aria-label={trans.__('MTOR realm')}
        ref={list}
        onKeyDown={onKeyDown}
      >
        {shown.map(tab => (
          <button
            key={tab.id}
            id={`mtor-tab-${tab.id}`}
            role="tab"
            aria-selected={tab === open}
            aria-controls={`mtor-page-${tab.id}`}
            tabIndex={tab === open ? 0 : -1}
            onClick={() => {
              panel.open = tab.id;
            }}
          >
            {tab.label}
          </button>
        ))}
      </div>
      <Connection realm={realm} trans={trans} />
      {above(open.id)}
      <div
        key={open.id}
        className="jp-mtor-page"
        id={`mtor-page-${open.id}`}
        role="tabpanel"
        aria-labelledby={`mtor-tab-${open.id}`}
      >
        {open.render()}
      </div>
    </>
  );
}

/** A quiet line while the realm is not there. */
function Connection(props: { realm: IRealm; trans: TranslationBundle }): JSX.Element {
  const { realm, trans } = props;
  let words = '';
  if (realm.connection === 'refused') {
    words = realm.refusal?.message ?? trans.__('The realm does not let you in.');
  } else if (realm.connection === 'connecting') {
    words = realm.welcome ? trans.__('Connecting again…') : trans.__('Looking for the realm…');
  }
  return (
    <div className="jp-mtor-connection" role="status" hidden={!words}>
      {words}
    </div>
  );
}
