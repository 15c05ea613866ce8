import type { GapRow } from '../../api/ports/forget.ts';
import type { Stall } from '../stalls/stalls.ts';
import type { ScrubPort } from '../../api/ports/scrub.ts';
import type { OpenModes } from '../folder-modes.ts';
import type { Settings, StrayName } from '../settings.ts';
import type { DiskSample } from './disk-trend.ts';
import type { Usage } from '../../protocols/feed/quota.ts';
import type { RejoinStatus } from '../../protocols/mycelium/rejoin.ts';
import type { MirrorHealth } from './ports.ts';
import type { NodeEntry } from '../../api/ports/registration.ts';

export const DOCTOR_LIMITS = {
  /** A whole examination: whatever has not answered by then is left out. Shorter than the command line's own timeout. */
  totalMs: 8000,
  /** One request to a peer for its clock. */
  probeMs: 4000,
  /** Peers asked for their clocks, reachable ones first. */
  probes: 32,
  /** Peers asked at the same time. */
  probesAtOnce: 8,
  /** The smallest clock difference that is reported: a synchronised machine stays far below a minute. */
  skewMs: 60_000,
  /** From this difference on, signed requests and registrations are refused. */
  skewMostMs: 5 * 60_000,
  /** How long things may be incomplete after a start or a new connection. */
  graceMs: 60_000,
  /** Entries that a peer has shown and that are still missing after this long are a gap, not a delay. */
  gapMs: 3 * 60_000,
  /** A certificate is reported this many days before it expires. */
  tlsDays: 14,
  /** The disk is reported when, at the rate of the last day, it will be full in this many days. */
  diskDays: 7,
  /** With this many waiting jobs the queue counts as falling behind. */
  backlog: 500,
  /** How long the oldest job may wait, however many there are. */
  backlogMs: 15 * 60_000,
  /** Verdicts and conflicting records read for one report. */
  rows: 10_000,
  /** Seconds of mirror lag from which on it is reported. */
  mirrorLagSeconds: 300,
  /** Ops that have been pending for longer than this are a warning. */
  waitingMs: 60 * 60_000,
} as const;

/** A file in DATA_DIR; `problem` is a message that ends with what to do. */
export interface FileFact {
  readonly path: string;
  readonly kind: 'identity' | 'api-key' | 'key-pepper';
  readonly present: boolean;
  readonly needed: boolean;
  readonly mode: number | undefined;
  readonly problem: string | undefined;
}

export interface CertificateFact {
  readonly path: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Whether it names the host of PUBLIC_URL; undefined without one. */
  readonly names: boolean | undefined;
  readonly host: string | undefined;
}

/** What can be known without a running daemon. */
export interface OfflineFacts {
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly settings: Settings;
  /** Environment variables that look like settings but are not. */
  readonly strayNames: readonly StrayName[];
  readonly files: readonly FileFact[];
  readonly dataDirMode: number | undefined;
  /** How much of DATA_DIR others can read or change, and the first paths of it. */
  readonly openModes: OpenModes;
  readonly disk: {
    readonly freeBytes: number | undefined;
    /** The folder to make where there is none: what DATA_DIR leads to, if it is a link. */
    readonly missing: string;
    readonly samples: readonly DiskSample[];
  };
  readonly database: {
    readonly initialized: boolean;
    readonly present: boolean;
    /** A copy from before a repair. */
    readonly damagedCopy: boolean;
    /** Another process that uses this identity. */
    readonly holder: { readonly pid: number | undefined; readonly message: string } | undefined;
    /** Why the running daemon refuses writes. */
    readonly refusal: { readonly code: string; readonly message: string } | undefined;
  };
  readonly certificate: CertificateFact | { readonly path: string; readonly problem: string } | undefined;
}

/** One registered node as the doctor sees it, its texts harmless. */
export interface NodeFact extends Omit<NodeEntry, 'name'> {
  /** Its name or URL. */
  readonly label: string;
}

/** A peer's clock against this one. */
export interface ClockFact {
  readonly id: string;
  readonly label: string;
  /** Its clock minus this one, milliseconds, in the middle of the exchange. */
  readonly offsetMs: number;
  /** The true offset is within this of `offsetMs`: half of the round trip. */
  readonly uncertaintyMs: number;
}

/** What a running daemon knows in addition. */
export interface OnlineFacts extends OfflineFacts {
  readonly startedAt: number;
  readonly ownId: string;
  readonly schemaVersion: number;
  readonly nodes: readonly NodeFact[];
  readonly clocks: readonly ClockFact[];
  readonly ownClock: {
    readonly wall: number;
    readonly credible: boolean;
    /** How far it is ahead of the time that the node uses for what cannot be undone. */
    readonly doubtedMs: number;
    /** Signed time of this node's newest entries; undefined without any. */
    readonly newestOwn: number | undefined;
  };
  readonly dht: {
    readonly tablePeers: number;
    /** Peers that are connected, and since when the first of them has been. */
    readonly connected: number;
    readonly since: number | undefined;
  };
  readonly gaps: readonly {
    /** The peer that shows more, or the author whose own feed names more. */
    readonly subject: string;
    readonly kind: 'shown' | 'named';
    readonly entries: number;
    readonly since: number;
  }[];
  /** The storage that active nodes' entries use here. */
  readonly quotas: readonly {
    readonly id: string;
    readonly label: string;
    readonly usage: Usage;
    /** The quota in force for it, MiB; 0 means no limit. */
    readonly quotaMb: number;
    /** The limit of pending ops; 0 means no limit. */
    readonly pendingOps: number;
  }[];
  /** Feeds of this node that make no progress at a peer. */
  readonly stalls: readonly Stall[];
  /** Nodes some of whose entries were forgotten, and whether they are followed again. */
  readonly forgotten: readonly (GapRow & { readonly label: string; readonly active: boolean })[];
  readonly unequal: readonly { readonly peer: string; readonly author: string }[];
  readonly forks: readonly { readonly author: string; readonly channel: string; readonly epoch: string }[];
  readonly quarantine: readonly {
    readonly state: 'pending' | 'rejected';
    readonly code: string;
    readonly count: number;
    /** It is pending until an upgrade, which the check `schema` reports. */
    readonly forUpgrade: boolean;
    /** Whether some of them are this node’s own. */
    readonly own: boolean;
    /** Time of the oldest of the entries read; 0 when that is not known. */
    readonly oldest: number;
  }[];
  /** Records with conflicts: those that this node can resolve, and those that only their writers can. */
  readonly conflicts: { readonly own: number; readonly others: number };
  readonly alarms: readonly { readonly kind: string; readonly at: string; readonly text: string }[];
  readonly jobs: {
    readonly waiting: number;
    readonly dead: number;
    readonly oldestWaiting: number | undefined;
    readonly lastDead:
      | { readonly id: string; readonly error: string; readonly code?: string; readonly source?: string }
      | undefined;
    readonly queue: { readonly ok: boolean; readonly detail: string };
  };
  readonly mirror: MirrorHealth | undefined;
  readonly rejoin: RejoinStatus;
  readonly scrub: Pick<ReturnType<ScrubPort['status']>, 'current' | 'last'>;
}
