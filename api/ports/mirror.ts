export const MIRROR_STATES = [
  'off',
  'starting',
  'tables-missing',
  'refused',
  'denied',
  'away',
  'filling',
  'running',
  'displaced',
  'stopped',
] as const;

/** How the DynamoDB mirror is. */
export interface MirrorStatus {
  readonly state: (typeof MIRROR_STATES)[number];
  /** In words, with what to do; empty when all is well. */
  readonly detail: string;
  readonly prefix: string;
  /** Who writes to the tables, according to them; null when nobody does, or they cannot be read. */
  readonly holder: { readonly peerId: string; readonly incarnation: number; readonly seenAt: number } | null;
  readonly incarnation: number;
  readonly pending: number;
  readonly lagSeconds: number;
  readonly waiting: number;
  readonly refused: number;
  readonly refusals: readonly { readonly key: string; readonly reason: string }[];
  readonly outbox: number;
  readonly inFlight: number;
  readonly written: number;
  readonly tombstoned: number;
  readonly removed: number;
  readonly overtaken: number;
  readonly failures: number;
  readonly lastWriteAt: number | undefined;
  readonly lastError: string | undefined;
  readonly repairDue: boolean;
}

/** The findings of a check of the tables, as they appear. */
export type MirrorStep =
  | { readonly kind: 'progress'; readonly progress: { readonly done: number; readonly total: number } }
  | {
      readonly kind: 'difference';
      readonly difference: { readonly table: string; readonly key: readonly string[]; readonly kind: string };
    }
  | { readonly kind: 'foreign' }
  | { readonly kind: 'repaired'; readonly count: number }
  | {
      readonly kind: 'end';
      readonly summary: {
        readonly items: Readonly<Record<string, number>>;
        readonly foreign: Readonly<Record<string, number>>;
        readonly pending: number;
        readonly differences: number;
      };
    };

/** The mirror, for its operator. All but `status` throw `mirror-off` where there is none. */
export interface MirrorPort {
  status(): Promise<MirrorStatus>;
  /** Makes the tables that are missing; their names. */
  init(takeOver: boolean): Promise<readonly string[]>;
  /** Throws `mirror-away`, `mirror-filling`, `mirror-busy`. */
  verify(): AsyncGenerator<MirrorStep>;
  repair(options: { readonly deleteForeign: boolean }): AsyncGenerator<MirrorStep>;
}
