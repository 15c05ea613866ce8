import type { Usage } from '../protocols/feed/quota.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import type { Level } from './level.ts';
import { putJson, verifiedJson } from './values.ts';

const NOTHING: Usage = { bytes: 0, pending: 0, pendingBytes: 0 };

function sum(a: Usage, b: Usage): Usage {
  return {
    bytes: a.bytes + b.bytes,
    pending: a.pending + b.pending,
    pendingBytes: a.pendingBytes + b.pendingBytes,
  };
}

/**
 * The storage that the entries of each feed use: a row per feed in the batch that changes it, and the sums of each author in memory.
 */
export class UsageTable {
  #feeds = new Map<number, Usage>();
  #authors = new Map<string, Usage>();

  /** Reads all of it; `authorOf` names the author of a feed number. The function it returns puts it into effect. */
  async read(level: Level): Promise<(authorOf: (feedNo: number) => string | undefined) => void> {
    const feeds = new Map<number, Usage>();
    for await (const [key, value] of level.iterator(range('usage')))
      feeds.set(Number.parseInt(innerKey(key), 16), verifiedJson<Usage>(key, value));
    return (authorOf) => {
      this.#feeds = feeds;
      this.#authors = new Map();
      for (const [no, usage] of feeds) this.#add(authorOf(no), usage);
    };
  }

  of(author: string): Usage {
    return this.#authors.get(author) ?? NOTHING;
  }

  ofFeed(no: number): Usage {
    return this.#feeds.get(no) ?? NOTHING;
  }

  authors(): ReadonlyMap<string, Usage> {
    return this.#authors;
  }

  rows(changes: UsageChanges): BatchOp[] {
    return [...changes.byFeed].map(([no, { change }]) => usageRow(no, sum(this.ofFeed(no), change)));
  }

  /** Once the batch has its position: those after it build on this. */
  apply(changes: UsageChanges): void {
    for (const [no, { author, change }] of changes.byFeed) {
      this.#feeds.set(no, sum(this.ofFeed(no), change));
      this.#add(author, change);
    }
  }

  /** The batch was not written. */
  takeBack(changes: UsageChanges): void {
    const back = new UsageChanges();
    for (const [no, { author, change }] of changes.byFeed) {
      const { bytes, pending, pendingBytes } = change;
      back.add(no, author, { bytes: -bytes, pending: -pending, pendingBytes: -pendingBytes });
    }
    this.apply(back);
  }

  #add(author: string | undefined, usage: Usage): void {
    if (author !== undefined) this.#authors.set(author, sum(this.of(author), usage));
  }
}

export function usageRow(no: number, usage: Usage): BatchOp {
  return putJson(fullKey('usage', numberKey(no)), usage);
}

/** What one commit changes of it. */
export class UsageChanges {
  readonly byFeed = new Map<number, { readonly author: string; readonly change: Usage }>();

  add(no: number, author: string, change: Partial<Usage>): void {
    const before = this.byFeed.get(no)?.change ?? NOTHING;
    this.byFeed.set(no, { author, change: sum(before, { ...NOTHING, ...change }) });
  }

  /** Ops of so many bytes in all wait from now on, or with a minus no longer. */
  pending(no: number, author: string, ops: 1 | -1, bytes: number): void {
    this.add(no, author, { pending: ops, pendingBytes: ops * bytes });
  }
}
