// The ground of the panel: what its parts know of each other. Implementations import this file,
// never the reverse.
import { Token } from '@lumino/coreutils';
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import type {
  Answer,
  Chunk,
  ErrorInfo,
  Me,
  ModelInfo,
  Notice,
  PersonInfo,
  Query,
  QueryEnd,
  QueryInfo,
  Quotas,
  RealmState,
  RuleInfo,
  UsageRow,
  Welcome
} from './protocol';

/** One part of an answer that is not words, or a stretch of words. */
export type Part = NonNullable<Answer['parts']>[number];

/** How the socket to the realm stands. */
export type ConnectionState =
  /** being opened, or again after it was lost */
  | 'connecting'
  | 'open'
  /** closed by the realm on purpose, such as for a ban: tried again seldom */
  | 'refused';

/** What a query would cost at most, and for about how long it would wait. */
export interface IQuote {
  model: string;
  hold_micro: number;
  eta_seconds?: number | null;
}

/** One page of a list; `next` is the cursor of the following page, absent at the end. */
export interface IPage<T> {
  items: T[];
  next?: string;
}

/** A query under way, or ended, as it is seen from here. Its answer is one attempt's, whole. */
export interface IRunning extends IDisposable {
  /** The realm's name for it; empty until it is admitted. */
  readonly id: string;
  readonly query: Query | null;
  readonly stage: 'sending' | 'queued' | 'running' | 'ended';
  /** The model in whose lane it is; empty until it is admitted. */
  readonly model: string;
  /** Micro-credits set aside for it. */
  readonly hold: number;
  readonly position: number | null;
  readonly eta: number | null;
  /** 0 to 1 while the backend says how far it is. */
  readonly fraction: number | null;
  readonly note: string;
  /** A small PNG of the work so far, in base64; empty where there is none. */
  readonly preview: string;
  /** Why an attempt was given up, or another model answers; empty where there is nothing to say. */
  readonly requeued: string;
  /** All words so far. */
  readonly text: string;
  readonly parts: ReadonlyArray<Part>;
  readonly end: QueryEnd | null;
  /** Why the realm took nothing; `null` where it took the query. */
  readonly refusal: ErrorInfo | null;
  /** Emitted whenever something of the above has changed. */
  readonly changed: ISignal<IRunning, void>;
  /** Emitted with each piece of the answer that is new. */
  readonly chunk: ISignal<IRunning, Chunk>;
  /** Fulfilled at the end, also at a refusal; never rejected. */
  readonly done: Promise<IRunning>;
  /** Have the realm stop it. */
  cancel(): void;
}

/** The realm, over one socket that mends itself, and REST. */
export interface IRealm extends IDisposable {
  readonly connection: ConnectionState;
  readonly connectionChanged: ISignal<IRealm, ConnectionState>;
  /** Who one is here; `null` before the first connection. */
  readonly welcome: Welcome | null;
  /** Why the realm refused the connection; `null` where it did not. */
  readonly refusal: ErrorInfo | null;
  /** Depth of every lane and who serves what, while somebody watches. */
  readonly state: RealmState | null;
  readonly stateChanged: ISignal<IRealm, RealmState>;
  readonly notice: ISignal<IRealm, Notice>;
  /** Emitted when a query of one's own has ended, here or perhaps elsewhere: the balance is another. */
  readonly spent: ISignal<IRealm, void>;
  /** Queries of this page that have not ended, oldest first. */
  readonly running: ReadonlyArray<IRunning>;
  readonly runningChanged: ISignal<IRealm, void>;

  /** Ask; the same `key` never runs twice. */
  ask(query: Query, key?: string): IRunning;
  /**
   * Follow a query that was asked elsewhere, or open one that has ended. The model and what is held
   * for it are shown until, or where, the realm does not tell them itself.
   */
  follow(id: string, model?: string, hold?: number): IRunning;
  /** Something else of this page may have asked the realm, as a notebook's cell: say so in a moment. */
  askedElsewhere(): void;
  /** Keep `state` fresh until the result is disposed. */
  watch(): IDisposable;

  models(): Promise<ModelInfo[]>;
  me(): Promise<Me>;
  usage(days: number): Promise<UsageRow[]>;
  history(search?: string, before?: string, limit?: number): Promise<IPage<QueryInfo>>;
  info(id: string): Promise<QueryInfo>;
  quote(query: Query): Promise<IQuote>;
  /** Upload what does not fit into an n-gram; gives its id. */
  upload(content: Blob): Promise<string>;
  download(id: string): Promise<Blob>;
  readonly sysop: ISysop;
}

/** One entry of the audit log. */
export interface IAuditEntry {
  id: number;
  at: number;
  actor: string;
  action: string;
  subject: string;
  reason: string;
  /** Figures, as JSON. */
  details: string;
}

/** What only the sysop may do; the realm enforces it. All throw `RealmError`. */
export interface ISysop {
  people(): Promise<PersonInfo[]>;
  ban(user: string, reason: string): Promise<void>;
  unban(user: string, reason: string): Promise<void>;
  /** Cancel all of a person's queries; gives how many that were. */
  stopQueries(user: string, reason: string): Promise<number>;
  grant(user: string, micro: number, reason: string): Promise<void>;
  /** What is ruled for whom, by the configuration and by sysops. */
  rules(): Promise<RuleInfo[]>;
  /** Rule for a role, a group or a person; `null` takes back what was ruled. */
  rule(
    kind: RuleInfo['kind'],
    subject: string,
    quotas: Quotas | null,
    reason: string
  ): Promise<void>;
  worker(name: string, order: 'drain' | 'resume' | 'remove'): Promise<void>;
  model(worker: string, order: 'load' | 'unload', model: string): Promise<void>;
  notice(text: string): Promise<void>;
  pause(on: boolean, reason: string): Promise<void>;
  reload(): Promise<void>;
  audit(before?: string): Promise<IPage<IAuditEntry>>;
}

export const IRealm = new Token<IRealm>(
  'mtor-realm:IRealm',
  'The MTOR realm: ask it, follow queries, see its queue.'
);
