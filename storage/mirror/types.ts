import type { Json } from '../../protocols/wire/json.ts';
import type { Target } from '../outbox.ts';

/** A table as the old back end has it, without a prefix. All key attributes are strings. */
export interface TableSpec {
  readonly name: string;
  /** Partition key, and sort key where there is one. */
  readonly key: readonly [string] | readonly [string, string];
}

/** The content of an item: its attributes without the key, `_version` and `_source`. */
export type ItemFields = { readonly [name: string]: Json };

/** An item as it is to be, and the full key of the row that it is made from. */
export interface ProjectedItem {
  readonly source: string;
  readonly fields: ItemFields;
}

/** Maps the database to items. Reads LevelDB only, and always its newest state. */
export interface Projection {
  readonly tables: readonly TableSpec[];
  /** The items that a row takes part in, by its full key. */
  targets(source: string): Promise<readonly Target[]>;
  /** The current item; undefined when there should be none. */
  item(target: Target): Promise<ProjectedItem | undefined>;
}

/** [incarnation, outbox counter]: the higher one is newer. */
export type Version = readonly [incarnation: number, n: number];

/** How the mirror is. */
export type MirrorState =
  /** `MIRROR=off`, or no AWS setting. */
  | 'off'
  /** Not attached yet. */
  | 'starting'
  /** `agrinet mirror init` makes them. */
  | 'tables-missing'
  /** Another daemon holds the tables, or they have other keys. */
  | 'refused'
  /** DynamoDB does not know the credentials, or they do not suffice. */
  | 'denied'
  /** DynamoDB does not answer. */
  | 'away'
  /** Attached, and every row of the database is being written. */
  | 'filling'
  | 'running'
  /** A newer process holds the tables; this one writes no more. */
  | 'displaced'
  | 'stopped';

/** The mirror at a glance, from memory. */
export interface MirrorSnapshot {
  readonly state: MirrorState;
  /** In words, with what to do; empty when all is well. */
  readonly detail: string;
  /** Rows of the outbox whose newest state is not in the tables. */
  readonly pending: number;
  /** How long the oldest of them has been waiting. */
  readonly lagSeconds: number;
  /** Tombstones that wait to be removed; they do not count as lag. */
  readonly waiting: number;
  readonly refused: number;
  /** Of those, the first, with the reason. */
  readonly refusals: readonly { readonly key: string; readonly reason: string }[];
  /** All rows of the outbox. */
  readonly outbox: number;
  readonly inFlight: number;
  /** Since the start: items put, tombstones put, tombstones removed, writes that something newer had overtaken. */
  readonly written: number;
  readonly tombstoned: number;
  readonly removed: number;
  readonly overtaken: number;
  /** Requests that failed since the start. */
  readonly failures: number;
  readonly incarnation: number;
  /** Milliseconds since 1970. */
  readonly lastWriteAt: number | undefined;
  readonly lastError: string | undefined;
  /** After a fill of tables that others wrote to: what they hold beyond LevelDB is still to be taken out. */
  readonly repairDue: boolean;
}

/** How an item differs from LevelDB. */
export type DifferenceKind =
  | 'missing'
  | 'differs'
  | 'extra'
  /** `_version` was not given by this daemon, or `_source` names something else. */
  | 'version'
  /** A tombstone that nobody is going to remove. */
  | 'tombstone';

export interface Difference {
  readonly table: string;
  readonly key: readonly string[];
  readonly kind: DifferenceKind;
}
