// Generated from the protocol by `make ngram`. Not to be edited.

export type ClientNGram = Hello | Submit | SubmitAll | Cancel | Resume | Watch | Unwatch;
/**
 * The classes of a lane: somebody waits for it, or nobody does.
 */
export type Priority = 'batch' | 'interactive';
export type LinkNGram = Stop | Load | Unload | Drain;
/**
 * What kind of person; quotas and weights go by it.
 */
export type Role = 'contributor' | 'guest' | 'sysop' | 'user';
/**
 * What goes in and what comes out.
 */
export type Modality = 'api' | 'chat' | 'embedding' | 'image' | 'speech' | 'transcription' | 'vision';
export type QueryEvent = Queued | Started | Progress | Chunk | Requeued | Settled | Failed | Cancelled;
/**
 * Where a query stands.
 */
export type Stage = 'cancelled' | 'failed' | 'queued' | 'running' | 'settled';
export type RealmNGram =
  | Welcome
  | Admitted
  | Refused
  | Queued
  | Started
  | Progress
  | Chunk
  | Requeued
  | Settled
  | Failed
  | Cancelled
  | RealmState
  | Notice
  | Error
  | Several;
/**
 * For whom a rule is set. Of several that are, the first of these holds.
 */
export type RuleOf = 'group' | 'person' | 'role';
export type WorkerNGram =
  WorkerHello | Beat | WorkerChunk | WorkerProgress | WorkerOutcome | WorkerSeveral | Health | Bye;

/**
 * The query is written down, its hold placed: it will reach exactly one end.
 */
export interface Admitted {
  hold_micro: number;
  id?: string;
  model: string;
  op: 'admitted';
  query: string;
  repeated?: boolean;
}
/**
 * What came back.
 */
export interface Answer {
  finish_reason?: string;
  parts?: (Text | Image | Audio | Data | Rows)[];
  weights?: string;
}
/**
 * Words.
 */
export interface Text {
  text: string;
  type: 'text';
}
/**
 * A picture, by its blob.
 */
export interface Image {
  blob: string;
  mime?: string;
  type: 'image';
}
/**
 * A sound, by its blob.
 */
export interface Audio {
  blob: string;
  mime?: string;
  type: 'audio';
}
/**
 * Structured findings: vectors, boxes, an API's JSON.
 */
export interface Data {
  type: 'data';
  value: unknown;
}
/**
 * Answers to some rows of a table.
 */
export interface Rows {
  answers: RowAnswer[];
  type: 'rows';
}
/**
 * What came back for one row of a table: its parts, or why there are none.
 */
export interface RowAnswer {
  error?: ErrorInfo | null;
  finish_reason?: string;
  parts?: (Text | Data)[];
  row: number;
}
/**
 * An error on the wire.
 */
export interface ErrorInfo {
  code: string;
  details?: {
    [k: string]: string | number;
  };
  message: string;
  retry_after_seconds?: number | null;
  rule?: string;
}
/**
 * One attempt, named so that a stale one can be told from the current one.
 */
export interface AttemptRef {
  attempt: number;
  epoch: number;
  query: string;
}
/**
 * Still here, every 5 s; renews the lease of each attempt that it names.
 */
export interface Beat {
  cpu_percent?: number;
  memory_bytes?: number;
  op: 'beat';
  running?: AttemptRef[];
}
/**
 * It is leaving in good order.
 */
export interface Bye {
  op: 'bye';
  reason?: string;
}
/**
 * Stop a query of one's own. Its end is told as for any other query.
 */
export interface Cancel {
  id?: string;
  op: 'cancel';
  query: string;
}
/**
 * The end: it was cancelled; what had been published is charged.
 */
export interface Cancelled {
  charge: Charge;
  op: 'cancelled';
  query: string;
}
/**
 * What a query cost in the end. Never above its hold.
 */
export interface Charge {
  amount_micro?: number;
  usage?: Usage;
}
/**
 * What one attempt consumed, in the units that rate cards price.
 */
export interface Usage {
  audio_ms?: number;
  characters?: number;
  compute_ms?: number;
  estimated?: boolean;
  images?: number;
  input_tokens?: number;
  output_tokens?: number;
  pixel_steps?: number;
  rows?: number;
}
/**
 * What is wrong with the books, a sentence each; empty where nothing is.
 */
export interface CheckInfo {
  audit?: string[];
  ledger?: string[];
  seals?: string[];
}
/**
 * The next piece of the answer: words, or one other part.
 */
export interface Chunk {
  attempt: number;
  next: number;
  op: 'chunk';
  part?: (Text | Image | Audio | Data | Rows) | null;
  query: string;
  seq: number;
  text?: string;
}
/**
 * The first n-gram of a client. Answered by :class:`Welcome`.
 */
export interface Hello {
  client?: string;
  id?: string;
  op: 'hello';
}
/**
 * Ask. Answered by :class:`Admitted` or :class:`Refused`; then the query's events follow.
 */
export interface Submit {
  id?: string;
  key: string;
  op: 'submit';
  query: Query;
}
/**
 * One question from one user.
 */
export interface Query {
  /**
   * @minItems 1
   * @maxItems 1000
   */
  messages: Message[];
  model?: string;
  options?: Options;
  priority?: Priority;
  /**
   * @maxItems 256
   */
  rows?: TableRow[];
  ttl_seconds?: number;
}
/**
 * One turn of a conversation.
 */
export interface Message {
  /**
   * @minItems 1
   * @maxItems 256
   */
  parts: (Text | Image | Audio | Data | Rows)[];
  role: 'assistant' | 'system' | 'user';
}
/**
 * How to answer. ``None`` leaves the choice to the model's entry in the catalogue.
 */
export interface Options {
  guidance?: number | null;
  height?: number | null;
  json_schema?: {} | null;
  language?: string | null;
  max_tokens?: number | null;
  negative_prompt?: string | null;
  parameters?: {
    [k: string]: string;
  } | null;
  seed?: number | null;
  speed?: number | null;
  steps?: number | null;
  /**
   * @maxItems 4
   */
  stop?: string[];
  strength?: number | null;
  temperature?: number | null;
  top_p?: number | null;
  voice?: string | null;
  width?: number | null;
}
/**
 * A row of a table that is asked about.
 */
export interface TableRow {
  key: string;
  text: string;
}
/**
 * Ask several things at once; each is answered as if it had come alone.
 */
export interface SubmitAll {
  /**
   * @minItems 1
   * @maxItems 64
   */
  asked: Submit[];
  id?: string;
  op: 'submit_all';
  several?: boolean;
}
/**
 * Follow a query of one's own from a cursor on; ``0, 0`` is the beginning.
 */
export interface Resume {
  attempt?: number;
  id?: string;
  op: 'resume';
  query: string;
  seq?: number;
}
/**
 * Hear :class:`RealmState` whenever it changes, from now on.
 */
export interface Watch {
  id?: string;
  op: 'watch';
}
/**
 * Hear it no longer.
 */
export interface Unwatch {
  id?: string;
  op: 'unwatch';
}
/**
 * Take nothing new (``on``), or take work again; what runs goes on.
 */
export interface Drain {
  on?: boolean;
  op: 'drain';
}
/**
 * A command could not be carried out; the socket stays open.
 */
export interface Error {
  error: ErrorInfo;
  id?: string;
  op: 'error';
  query?: string;
}
/**
 * The end: no answer, no charge.
 */
export interface Failed {
  error: ErrorInfo;
  op: 'failed';
  query: string;
}
/**
 * What it serves has changed: loaded, unloaded, fallen ill, got well.
 */
export interface Health {
  op: 'health';
  served: Served[];
}
/**
 * A model as one worker serves it.
 */
export interface Served {
  loaded?: boolean;
  model: string;
  slots?: number;
  trouble?: string;
  weights?: string;
}
/**
 * The queue and the free slots of one model.
 */
export interface LaneInfo {
  breaker?: string;
  eta_seconds?: number | null;
  model: string;
  running?: number;
  slots?: number;
  trouble?: string;
  waiting?: number;
}
/**
 * Stop an attempt at its next chunk.
 */
export interface Stop {
  attempt: number;
  op: 'cancel';
  query: string;
}
/**
 * Bring a model into memory.
 */
export interface Load {
  model: string;
  op: 'load';
}
/**
 * Take it out.
 */
export interface Unload {
  model: string;
  op: 'unload';
}
/**
 * Who one is here, and what one has.
 */
export interface Me {
  balance_micro?: number;
  groups?: string[];
  held_micro?: number;
  prompts_shown?: boolean;
  quotas?: QuotaInfo[];
  role: Role;
  scopes?: string[];
  unlimited?: boolean;
  user: string;
}
/**
 * One rule, how much of it is used, and when it starts afresh.
 */
export interface QuotaInfo {
  limit: number;
  resets_at?: number | null;
  rule: string;
  set_for?: string;
  used?: number;
}
/**
 * A name that one may ask for.
 */
export interface ModelInfo {
  context_tokens?: number | null;
  description?: string;
  modality: Modality;
  name: string;
  rates?: RateCard | null;
  roles?: Role[];
  slots?: number;
  stands_for?: string[];
  waiting?: number;
  weights?: string[];
}
/**
 * The price of a model: micro-credits a unit of :class:`Usage`.
 *
 *     A card on which everything is zero is refused unless it says ``free = true``: a price is never
 *     zero by accident.
 */
export interface RateCard {
  audio_second_micro?: number;
  character_micro?: number;
  compute_second_micro?: number;
  free?: boolean;
  image_micro?: number;
  input_token_micro?: number;
  megapixel_step_micro?: number;
  output_token_micro?: number;
  query_micro?: number;
}
/**
 * The sysop says something to everybody who is connected.
 */
export interface Notice {
  level?: 'info' | 'warning';
  op: 'notice';
  text: string;
}
/**
 * A part of a list; ``next`` is the cursor of the following part, empty at the end.
 */
export interface Page {
  items?: unknown[];
  next?: string;
}
/**
 * Somebody who has been here, as the sysop sees them.
 */
export interface PersonInfo {
  balance_micro?: number;
  ban_reason?: string;
  banned_at?: number | null;
  created_at: number;
  groups?: string[];
  held_micro?: number;
  name: string;
  role: Role;
  unlimited?: boolean;
}
/**
 * How far the attempt is. Later ones replace earlier ones.
 */
export interface Progress {
  attempt: number;
  fraction: number;
  note?: string;
  op: 'progress';
  preview?: string;
  query: string;
}
/**
 * It waits: how many go before it, and for about how long.
 */
export interface Queued {
  eta_seconds?: number | null;
  model?: string;
  op: 'queued';
  position: number;
  query: string;
  reason?: string;
}
/**
 * An attempt was given to a worker.
 */
export interface Started {
  attempt: number;
  model?: string;
  op: 'started';
  query: string;
  reason?: string;
}
/**
 * The attempt before this one is void: forget its text; it starts afresh with this number.
 */
export interface Requeued {
  attempt: number;
  op: 'requeued';
  query: string;
  reason?: string;
}
/**
 * The end: an answer, and what it cost.
 */
export interface Settled {
  attempt: number;
  charge: Charge;
  finish_reason?: string;
  model: string;
  op: 'settled';
  query: string;
  running_seconds?: number;
  seconds?: number;
  weights?: string;
}
/**
 * One query, as its owner sees it.
 */
export interface QueryInfo {
  answer?: Answer | null;
  asked: string;
  attempt?: number;
  charge?: Charge | null;
  created_at: number;
  ended_at?: number | null;
  error?: ErrorInfo | null;
  eta_seconds?: number | null;
  hold_micro?: number;
  id: string;
  modality: Modality;
  model: string;
  position?: number | null;
  prompt?: string;
  query?: Query | null;
  stage: Stage;
  started_at?: number | null;
}
/**
 * Rules of use. ``None``: no such rule here. Zero: nothing at all. NO_LIMIT: no limit.
 */
export interface Quotas {
  blob_bytes?: number | null;
  credits_per_day_micro?: number | null;
  credits_per_month_micro?: number | null;
  queries_per_minute?: number | null;
  running?: number | null;
  tokens_per_day?: number | null;
  waiting?: number | null;
}
/**
 * Who one is here, and what the realm takes.
 */
export interface Welcome {
  epoch: number;
  id?: string;
  max_frame_bytes: number;
  max_submits?: number;
  op: 'welcome';
  prompts_shown?: boolean;
  role: Role;
  user: string;
  version: string;
}
/**
 * Nothing was written, nothing held. Says why, and when to try again.
 */
export interface Refused {
  error: ErrorInfo;
  id?: string;
  op: 'refused';
}
/**
 * Depth of every lane and who serves what; no names, no prompts.
 */
export interface RealmState {
  admission_open?: boolean;
  lanes: LaneInfo[];
  op: 'realm';
  workers: WorkerInfo[];
}
/**
 * A worker as the realm sees it.
 */
export interface WorkerInfo {
  cpu_percent?: number;
  memory_bytes?: number;
  name: string;
  served?: ServedInfo[];
  silent_seconds?: number;
  state: string;
}
/**
 * A model as one worker serves it.
 */
export interface ServedInfo {
  loaded?: boolean;
  model: string;
  running?: number;
  slots?: number;
  trouble?: string;
  weights?: string;
}
/**
 * What would have gone in frames of its own, in that order; each as if alone.
 */
export interface Several {
  op: 'several';
  told: (Admitted | Refused | Queued | Started | Progress | Chunk | Requeued | Settled | Failed | Cancelled)[];
}
/**
 * What is ruled for one person, group or role, and by whom.
 */
export interface RuleInfo {
  kind: RuleOf;
  live?: boolean;
  quotas: Quotas;
  subject: string;
}
/**
 * One query of anybody's, as the sysop sees it: what it is about only where that is set.
 */
export interface SysopQueryInfo {
  asked: string;
  attempt?: number;
  charge_micro?: number | null;
  created_at: number;
  ended_at?: number | null;
  error?: string;
  hold_micro?: number;
  id: string;
  modality: Modality;
  model: string;
  prompt?: string;
  stage: Stage;
  started_at?: number | null;
  user: string;
}
/**
 * What one person spent on one model in one day.
 */
export interface UsageRow {
  audio_ms?: number;
  characters?: number;
  charge_micro?: number;
  day: string;
  images?: number;
  input_tokens?: number;
  model: string;
  output_tokens?: number;
  queries?: number;
}
/**
 * The next piece of an attempt's answer: words, or one other part.
 */
export interface WorkerChunk {
  attempt: number;
  epoch: number;
  op: 'chunk';
  part?: (Text | Image | Audio | Data | Rows) | null;
  query: string;
  seq: number;
  text?: string;
}
/**
 * The first n-gram of a worker: who it is and what it serves.
 */
export interface WorkerHello {
  address?: string;
  op: 'hello';
  served?: Served[];
  threads?: number;
  version?: string;
  worker: string;
}
/**
 * How far an attempt is.
 */
export interface WorkerProgress {
  attempt: number;
  epoch: number;
  fraction: number;
  note?: string;
  op: 'progress';
  preview?: string;
  query: string;
}
/**
 * How an attempt ended; comes after its last chunk, on the connection that took all of them.
 *
 *     Of the answer only the last words may be in it: the realm has all of it if its stream ends at
 *     `next` then. Where it does not, where the link is down, or where this does not fit a frame, the
 *     realm waits for the result of the Dask task, which says the same and brings the whole answer.
 */
export interface WorkerOutcome {
  attempt: number;
  begun?: boolean;
  cancelled?: boolean;
  epoch: number;
  error?: ErrorInfo | null;
  finish_reason?: string;
  next: number;
  op: 'outcome';
  query: string;
  retryable?: boolean;
  text?: string;
  usage?: Usage;
  weights?: string;
}
/**
 * What several attempts said within a few milliseconds, in that order; each as if alone.
 */
export interface WorkerSeveral {
  op: 'several';
  /**
   * @maxItems 4096
   */
  said: (WorkerChunk | WorkerProgress | WorkerOutcome)[];
}
