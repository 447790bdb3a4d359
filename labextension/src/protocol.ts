// The protocol's types under names that do not hide the browser's own.
export type {
  Admitted,
  Answer,
  Audio as AudioPart,
  Charge,
  Chunk,
  ClientNGram,
  Data as DataPart,
  Error as ErrorNGram,
  ErrorInfo,
  Failed,
  Image as ImagePart,
  LaneInfo,
  Me,
  Message,
  Modality,
  ModelInfo,
  Notice,
  Options,
  PersonInfo,
  Progress,
  Query,
  QueryEvent,
  QueryInfo,
  Queued,
  QuotaInfo,
  Quotas,
  RateCard,
  RealmNGram,
  RealmState,
  Refused,
  Resume,
  Role,
  RowAnswer,
  RuleInfo,
  Settled,
  Started,
  TableRow,
  Text as TextPart,
  UsageRow,
  Welcome,
  WorkerInfo
} from './ngram';
import type { Cancelled, Failed, Settled } from './ngram';

/** The WebSocket subprotocol. */
export const SUBPROTOCOL = 'mtor.ngram.v1';

/** The events after which a query has no more. */
export type QueryEnd = Settled | Failed | Cancelled;
