import type { ErrorCode } from '../protocols/error-codes.ts';
import type { Env } from '../protocols/env.ts';
import type { Coverage } from '../protocols/digest/coverage.ts';
import type { PrefixAnswer } from '../protocols/digest/prefix.ts';
import type { CollectionDigest } from '../protocols/digest/state-digest.ts';
import type { FrontierItem } from '../protocols/feed/frontier.ts';
import type { Catalogue } from '../protocols/market/catalogue.ts';
import type { OpRef, RecordState, Verdict } from '../protocols/open-dialog/record.ts';
import type { OnUnread, RecordPage } from '../protocols/unread.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import type { HostCheckOptions } from './limits/host-check.ts';
import type { RateLimitOptions } from './limits/rate-limit.ts';
import type { Access, Keys } from './ports/access.ts';
import type { AttachmentsPort } from './ports/attachments.ts';
import type { AuditPort } from './ports/audit.ts';
import type { BackupPort } from './ports/backup.ts';
import type { ConversationsPort } from './ports/conversations.ts';
import type { DoctorPort } from './ports/doctor.ts';
import type { ErasurePort } from './ports/erasure.ts';
import type { ContractsPort } from './ports/contracts.ts';
import type { EventsPort } from './ports/events.ts';
import type { ExchangePort } from './ports/exchange.ts';
import type { FeedFilePort } from './ports/feed-file.ts';
import type { ForgetPort, GapRow } from './ports/forget.ts';
import type { IdempotencyTable } from './ports/idempotency.ts';
import type { JobsPort, NotificationsPort } from './ports/jobs.ts';
import type { RejoinPort } from './ports/rejoin.ts';
import type { CheckpointsPort, SnapshotsPort } from './ports/checkpoints.ts';
import type { ScrubPort } from './ports/scrub.ts';
import type { ListQuery, SearchPort } from './ports/search.ts';
import type { NoteLeftOut } from './ports/left-out.ts';
import type { MetricsPort } from './ports/metrics.ts';
import type { MirrorPort } from './ports/mirror.ts';
import type { QuotaPort } from './ports/quota.ts';
import type { RegistrationPort, Visibility } from './ports/registration.ts';
import type { TrendsPort } from './ports/trends.ts';
import type { FencePort, RatingsPort, TrustPort } from './ports/trust.ts';
import type { SessionsPort } from './ports/sessions.ts';
import type { SmsPort } from './ports/sms.ts';
import type { UsersPort } from './ports/users.ts';
import type { WantsPort } from './ports/wants.ts';

/** An op that is not applied, and why. */
export interface ListedOp {
  readonly ref: OpRef;
  /** Bytes. */
  readonly size: number;
  readonly key?: RecordKey | undefined;
  readonly verdict: Exclude<Verdict, { readonly state: 'applied' }>;
}

export interface RecordReader {
  /** Another number after every write: between two equal ones every answer was the same. */
  version(): number;
  get(key: RecordKey): Promise<RecordState | undefined>;
  list(collection: string, query: ListQuery, limit: number, cursor?: string): Promise<RecordPage>;
  /** With `onUnread` without those whose rows are damaged. */
  all(collection: string, onUnread?: OnUnread): AsyncGenerator<RecordState>;
  /** Records with a field in conflict of which `shown` leaves something, as it leaves them; at most `limit`. */
  conflicts(
    limit: number,
    shown: (state: RecordState) => Promise<RecordState | undefined>,
  ): Promise<RecordState[]>;
  verdicts(
    limit: number,
    filter?: {
      readonly author?: string | undefined;
      readonly state?: 'pending' | 'rejected' | undefined;
      readonly code?: string | undefined;
    },
    cursor?: string,
  ): Promise<{ readonly ops: readonly ListedOp[]; readonly total: number; readonly cursor?: string }>;
}

export interface OwnerDigest {
  readonly frontier: readonly FrontierItem[];
  readonly digest: string;
  readonly collections: Readonly<Record<string, CollectionDigest>>;
  /** Forgotten entries: what is held of the author is incomplete. */
  readonly forgotten?: Omit<GapRow, 'id'>;
}

/** A peer this node knows of, registered or not. */
export interface KnownPeer {
  readonly peerId: string;
  readonly registered: boolean;
  readonly connected: boolean;
  readonly nextRetryAt?: number;
}

/** What the HTTP API needs of the node. */
export interface ApiContext {
  readonly env: Env;
  readonly self: PeerId;
  readonly version: string;
  readonly limits: Omit<RateLimitOptions, 'now'> & HostCheckOptions;
  readonly access: Access;
  readonly keys: Keys;
  /** Of browsers; loaded when first asked for. */
  sessions(): Promise<SessionsPort>;
  readonly idempotency: IdempotencyTable;
  readonly catalogue: Catalogue;
  readonly conversations: ConversationsPort;
  readonly erasure: ErasurePort;
  readonly reader: RecordReader;
  readonly search: SearchPort;
  readonly contracts: ContractsPort;
  readonly registration: RegistrationPort;
  readonly quotas: QuotaPort;
  readonly forget: ForgetPort;
  readonly exchange: ExchangePort;
  readonly jobs: JobsPort;
  readonly users: UsersPort;
  readonly wants: WantsPort;
  readonly notifications: NotificationsPort;
  readonly sms: SmsPort;
  readonly attachments: AttachmentsPort;
  readonly audit: AuditPort;
  readonly rejoin: RejoinPort;
  readonly checkpoints: CheckpointsPort;
  readonly snapshots: SnapshotsPort;
  readonly scrub: ScrubPort;
  readonly backups: BackupPort;
  readonly feedFiles: FeedFilePort;
  readonly trends: TrendsPort;
  readonly ratings: RatingsPort;
  readonly trust: TrustPort;
  readonly fence: FencePort;
  readonly mirror: MirrorPort;
  readonly events: EventsPort;
  readonly metrics: MetricsPort;
  readonly doctor: DoctorPort;
  readonly leftOut: NoteLeftOut;
  /** Why the node is not ready to write, or undefined. */
  trouble(): { readonly code: ErrorCode; readonly message: string } | undefined;
  /** What works only in part, one line each. */
  degraded(sees: Visibility): readonly string[];
  alarms(sees: Visibility): readonly { readonly kind: string; readonly at: string; readonly text: string }[];
  /** The operator has seen to all of them. How many there were. */
  clearAlarms(): number;
  /** Whether a node is registered here and active. */
  isActive(peer: PeerId): boolean;
  peers(): readonly KnownPeer[];
  digest(): {
    readonly digest: string;
    /** The collections that it covers. */
    readonly covers: Coverage;
    readonly owners: Readonly<Record<string, OwnerDigest>>;
  };
  /** Public records of an owner and collection under a prefix; throws `busy`, `digest-too-large`. */
  digestBranch(owner: PeerId, collection: string, prefix: string): Promise<PrefixAnswer>;
  log(message: string, fields: Record<string, unknown>): void;
}
