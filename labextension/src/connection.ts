// One socket to the realm that mends itself.
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';
import { SUBPROTOCOL, type ClientNGram, type RealmNGram, type Welcome } from './protocol';
import type { ConnectionState } from './tokens';

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;
/** The realm has said no: nothing changes soon. */
const REFUSED_PAUSE_MS = 30_000;
/** A connection that stood for so long was a good one. */
const GOOD_MS = 5_000;
/** A realm that has not said welcome by then does not hear us: whatever lies between keeps it to itself. */
const WELCOME_MS = 20_000;
/** RFC 6455, section 7.4: the realm closes with it where it will not have us. */
const POLICY = 1008;

/** What a connection is told by its owner. */
export interface IConnectionOptions {
  /** Make a new socket with the given subprotocol. */
  open: (protocol: string) => WebSocket;
  /** Who made this client, for the realm's log. */
  client: string;
}

/**
 * Says hello, then carries n-grams both ways; opens again, with growing pauses, when it is lost.
 * What was said and not answered is the owner's to say again when `welcomed` is emitted.
 */
export class Connection implements IDisposable {
  constructor(options: IConnectionOptions) {
    this._options = options;
    this._open();
    window.addEventListener('online', this._hurry);
  }

  get state(): ConnectionState {
    return this._state;
  }

  get changed(): ISignal<this, ConnectionState> {
    return this._changed;
  }

  /** Emitted when a socket is open and the realm has said who one is. */
  get welcomed(): ISignal<this, Welcome> {
    return this._welcomed;
  }

  /** Emitted with every n-gram but the welcome. */
  get heard(): ISignal<this, RealmNGram> {
    return this._heard;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Send, if the socket is open; otherwise the owner says it again when it is. */
  say(ngram: ClientNGram): boolean {
    if (this._state !== 'open' || this._socket === null) {
      return false;
    }
    this._socket.send(JSON.stringify(ngram));
    return true;
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    window.removeEventListener('online', this._hurry);
    window.clearTimeout(this._timer);
    this._drop();
    Signal.clearData(this);
  }

  private _open(): void {
    this._drop();
    const socket = this._options.open(SUBPROTOCOL);
    this._socket = socket;
    this._openedAt = Date.now();
    this._timer = window.setTimeout(() => this._lost(), WELCOME_MS);
    socket.onopen = () => {
      socket.send(JSON.stringify({ op: 'hello', client: this._options.client }));
    };
    socket.onmessage = event => this._hear(event.data as string);
    socket.onclose = event => this._lost(event.code);
  }

  private _hear(frame: string): void {
    const said = JSON.parse(frame) as RealmNGram;
    if (said.op === 'welcome') {
      window.clearTimeout(this._timer);
      this._set('open');
      this._welcomed.emit(said);
    } else {
      this._heard.emit(said);
    }
  }

  private _lost(code = 0): void {
    window.clearTimeout(this._timer);
    this._drop();
    if (this._state === 'open' && Date.now() - this._openedAt > GOOD_MS) {
      this._pause = FIRST_PAUSE_MS;
    }
    const refused = code === POLICY;
    this._set(refused ? 'refused' : 'connecting');
    // Jitter, so that many clients of a restarted realm don't come at once.
    const pause = (refused ? REFUSED_PAUSE_MS : this._pause) * (0.5 + Math.random() / 2);
    this._timer = window.setTimeout(() => this._open(), pause);
    this._pause = Math.min(2 * this._pause, LONGEST_PAUSE_MS);
  }

  /** The network is back: no reason to wait any longer. */
  private _hurry = (): void => {
    if (this._state === 'connecting') {
      window.clearTimeout(this._timer);
      this._pause = FIRST_PAUSE_MS;
      this._open();
    }
  };

  private _drop(): void {
    const socket = this._socket;
    this._socket = null;
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  private _set(state: ConnectionState): void {
    if (state !== this._state) {
      this._state = state;
      this._changed.emit(state);
    }
  }

  private _options: IConnectionOptions;
  private _socket: WebSocket | null = null;
  private _state: ConnectionState = 'connecting';
  private _changed = new Signal<this, ConnectionState>(this);
  private _welcomed = new Signal<this, Welcome>(this);
  private _heard = new Signal<this, RealmNGram>(this);
  private _openedAt = 0;
  private _pause = FIRST_PAUSE_MS;
  private _timer = 0;
  private _isDisposed = false;
}
