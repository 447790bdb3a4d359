// The realm, as the panel knows it: queries over one socket, everything else over REST.
import { UUID } from '@lumino/coreutils';
import { DisposableDelegate, type IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';
import { Connection } from './connection';
import type {
  ClientNGram,
  ErrorInfo,
  Me,
  ModelInfo,
  Notice,
  Query,
  QueryEvent,
  QueryInfo,
  RealmNGram,
  RealmState,
  UsageRow,
  Welcome
} from './protocol';
import type { Requests } from './requests';
import { Running } from './running';
import { Sysop } from './sysop/acts';
import type { ConnectionState, IPage, IQuote, IRealm } from './tokens';

/** For so long nothing more may have been asked elsewhere before what was spent is read anew. */
const ELSEWHERE_MS = 300;

export class Realm implements IRealm {
  constructor(
    private readonly _requests: Requests,
    version: string
  ) {
    this.sysop = new Sysop(_requests);
    this._connection = new Connection({
      open: protocol => _requests.socket(protocol),
      client: `mtor-realm/${version}`
    });
    this._connection.changed.connect((_, state) => this._connectionChanged.emit(state));
    this._connection.welcomed.connect(this._welcomed, this);
    this._connection.heard.connect((_, ngram) => this._heard(ngram));
  }

  readonly sysop: Sysop;

  get connection(): ConnectionState {
    return this._connection.state;
  }

  get connectionChanged(): ISignal<this, ConnectionState> {
    return this._connectionChanged;
  }

  get welcome(): Welcome | null {
    return this._welcome;
  }

  get refusal(): ErrorInfo | null {
    return this._refusal;
  }

  get state(): RealmState | null {
    return this._state;
  }

  get stateChanged(): ISignal<this, RealmState> {
    return this._stateChanged;
  }

  get notice(): ISignal<this, Notice> {
    return this._notice;
  }

  get spent(): ISignal<this, void> {
    return this._spent;
  }

  get running(): ReadonlyArray<Running> {
    return [...this._asked.values(), ...this._followed.values()].filter(
      one => one.stage !== 'ended'
    );
  }

  get runningChanged(): ISignal<this, void> {
    return this._runningChanged;
  }

  get isDisposed(): boolean {
    return this._connection.isDisposed;
  }

  ask(query: Query, key: string = UUID.uuid4()): Running {
    const running = new Running(this, query, key);
    this._asked.set(key, running);
    this._connection.say(submission(running));
    this._runningChanged.emit();
    return running;
  }

  follow(id: string, model = '', hold = 0): Running {
    const known = this._followed.get(id);
    if (known) {
      if (known.hold === 0) {
        known.admitted({ query: id, model: known.model || model, hold_micro: hold });
      }
      return known;
    }
    const running = new Running(this, null, '');
    running.admitted({ query: id, model, hold_micro: hold });
    this._followed.set(id, running);
    this._connection.say(running.cursor);
    this._runningChanged.emit();
    return running;
  }

  /** Have the realm stop a query; one that is not admitted yet is stopped as soon as it is. */
  cancel(running: Running): void {
    if (running.stage === 'ended') {
      return;
    }
    this._unwanted.add(running);
    this._cancelUnwanted(running);
  }

  /** Forget a query here; it goes on. */
  release(running: Running): void {
    this._unwanted.delete(running);
    this._asked.delete(running.key);
    if (this._followed.get(running.id) === running) {
      this._followed.delete(running.id);
    }
    this._runningChanged.emit();
  }

  askedElsewhere(): void {
    // A notebook that runs all its cells is told of once.
    window.clearTimeout(this._elsewhere);
    this._elsewhere = window.setTimeout(() => this._spent.emit(), ELSEWHERE_MS);
  }

  watch(): IDisposable {
    this._watchers++;
    if (this._watchers === 1) {
      this._connection.say({ op: 'watch' });
    }
    return new DisposableDelegate(() => {
      this._watchers--;
      if (this._watchers === 0) {
        this._connection.say({ op: 'unwatch' });
      }
    });
  }

  async models(): Promise<ModelInfo[]> {
    return (await this._requests.json<IPage<ModelInfo>>('api/models')).items ?? [];
  }

  me(): Promise<Me> {
    return this._requests.json('api/me');
  }

  async usage(days: number): Promise<UsageRow[]> {
    return (await this._requests.json<IPage<UsageRow>>(`api/usage?days=${days}`)).items ?? [];
  }

  async history(search = '', before = '', limit = 50): Promise<IPage<QueryInfo>> {
    const query = new URLSearchParams({ search, before, limit: String(limit) });
    const page = await this._requests.json<Partial<IPage<QueryInfo>>>(`api/queries?${query}`);
    return { items: page.items ?? [], next: page.next };
  }

  info(id: string): Promise<QueryInfo> {
    return this._requests.json(`api/queries/${id}`);
  }

  quote(query: Query): Promise<IQuote> {
    return this._requests.post('api/quote', query);
  }

  async upload(content: Blob): Promise<string> {
    const kept = await this._requests.json<{ id: string }>('api/blobs', {
      method: 'POST',
      headers: { 'Content-Type': content.type || 'application/octet-stream' },
      body: content
    });
    return kept.id;
  }

  async download(id: string): Promise<Blob> {
    return (await this._requests.fetch(`api/blobs/${id}`)).blob();
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    window.clearTimeout(this._elsewhere);
    this._connection.dispose();
    Signal.clearData(this);
  }

  /** A socket is open: say again what nobody has answered, and go on with what was followed. */
  private _welcomed(_: Connection, welcome: Welcome): void {
    this._welcome = welcome;
    this._refusal = null;
    for (const running of this._asked.values()) {
      this._connection.say(submission(running));
    }
    for (const running of this._followed.values()) {
      if (running.stage !== 'ended') {
        this._connection.say(running.cursor);
      }
    }
    if (this._watchers > 0) {
      this._connection.say({ op: 'watch' });
    }
    for (const running of this._unwanted) {
      this._cancelUnwanted(running);
    }
    this._connectionChanged.emit(this.connection);
  }

  private _heard(ngram: RealmNGram): void {
    switch (ngram.op) {
      case 'admitted': {
        const running = this._asked.get(ngram.id ?? '');
        if (running) {
          this._asked.delete(running.key);
          this._followed.set(ngram.query, running);
          running.admitted(ngram);
          this._cancelUnwanted(running);
          this._runningChanged.emit();
        }
        return;
      }
      case 'refused': {
        const running = this._asked.get(ngram.id ?? '');
        if (running) {
          this._asked.delete(running.key);
          this._unwanted.delete(running);
          running.refused(ngram.error);
          this._runningChanged.emit();
        }
        return;
      }
      case 'realm':
        this._state = ngram;
        this._stateChanged.emit(ngram);
        return;
      case 'notice':
        this._notice.emit(ngram);
        return;
      case 'error':
        this._complained(ngram.error, ngram.query ?? '');
        return;
      case 'welcome':
        return;
      case 'several':
        ngram.told.forEach(one => this._heard(one));
        return;
      default:
        this._event(ngram);
    }
  }

  private _event(event: QueryEvent): void {
    const running = this._followed.get(event.query);
    if (!running) {
      return;
    }
    if (running.take(event)) {
      this._connection.say(running.cursor);
    }
    if (running.end) {
      this._followed.delete(event.query);
      this._unwanted.delete(running);
      this._runningChanged.emit();
      this._spent.emit();
    }
  }

  /** The realm could not do what was asked of it. */
  private _complained(error: ErrorInfo, query: string): void {
    const running = this._followed.get(query);
    if (running && error.code === 'not_found') {
      this._followed.delete(query);
      running.refused(error);
      this._runningChanged.emit();
    } else if (query === '') {
      this._refusal = error;
      this._connectionChanged.emit(this.connection);
    }
  }

  private _cancelUnwanted(running: Running): void {
    if (this._unwanted.has(running) && running.id !== '') {
      this._connection.say({ op: 'cancel', query: running.id });
    }
  }

  private readonly _connection: Connection;
  /** Submitted and not answered yet, by key. */
  private readonly _asked = new Map<string, Running>();
  /** Admitted and not ended, by id. */
  private readonly _followed = new Map<string, Running>();
  /** To be cancelled, until they have ended. */
  private readonly _unwanted = new Set<Running>();
  private _elsewhere = 0;
  private _watchers = 0;
  private _welcome: Welcome | null = null;
  private _refusal: ErrorInfo | null = null;
  private _state: RealmState | null = null;
  private readonly _connectionChanged = new Signal<this, ConnectionState>(this);
  private readonly _stateChanged = new Signal<this, RealmState>(this);
  private readonly _notice = new Signal<this, Notice>(this);
  private readonly _spent = new Signal<this, void>(this);
  private readonly _runningChanged = new Signal<this, void>(this);
}

/** Return the command that submits; what was only followed is never among those that are asked. */
function submission(running: Running): ClientNGram {
  return { op: 'submit', id: running.key, key: running.key, query: running.query! };
}
