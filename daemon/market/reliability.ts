import { type Env, every, type Timer } from '../../protocols/env.ts';
import type { Reliability } from '../../api/ports/trust.ts';
import type { ForkProof } from '../../protocols/feed/fork.ts';
import type { PullEvent } from '../../protocols/mycelium/pull-event.ts';
import { isSendersFault } from '../../protocols/error-codes.ts';
import { parsePeerId } from '../../protocols/wire/identity.ts';
import type { NodeTable, ReliabilityRow } from '../../storage/node-tables.ts';

/** How often what was counted is written, milliseconds: a crash loses that much of it. */
const SAVE_MS = 10_000;
/** Nodes counted: as many as can be registered, of either kind. */
const NODES = 2048;
export interface ReliabilityParts {
  readonly table: NodeTable<ReliabilityRow>;
  /** Only these are counted: strangers must not fill the table. */
  readonly isKnown: (node: string) => boolean;
  readonly env: Pick<Env, 'now' | 'after'>;
  readonly onFailure: (error: unknown) => void;
}

const NONE: Omit<ReliabilityRow, 'since'> = { syncs: 0, syncsFailed: 0, invalidEntries: 0, forks: 0 };

/** Counts how reliable nodes are as peers. It is independent of the trade of their users. */
export class ReliabilityCounts {
  readonly #parts: ReliabilityParts;
  readonly #rows: Map<string, ReliabilityRow>;
  readonly #dirty = new Set<string>();
  readonly #timer: Timer;
  #writing: Promise<void> | undefined;

  static async open(parts: ReliabilityParts): Promise<ReliabilityCounts> {
    return new ReliabilityCounts(parts, await parts.table.load());
  }

  private constructor(parts: ReliabilityParts, rows: Map<string, ReliabilityRow>) {
    this.#parts = parts;
    this.#rows = rows;
    this.#timer = every(parts.env, SAVE_MS, () => void this.#write());
  }

  of(node: string): Reliability {
    const row = this.#rows.get(node);
    return {
      syncs: row?.syncs ?? 0,
      syncsFailed: row?.syncsFailed ?? 0,
      invalidEntries: row?.invalidEntries ?? 0,
      equivocations: row?.forks ?? 0,
      since: row?.since ?? null,
      lastFailedAt: row?.lastFailedAt ?? null,
      lastFailure: row?.lastFailure ?? null,
    };
  }

  pulled(event: PullEvent): void {
    const { kind, peer } = event;
    // It is public, so it depends on nothing private.
    if ('private' in event) return;
    if (kind === 'peer-synced') this.#add(peer, { syncs: 1 });
    else if (kind === 'pull-failed') this.#add(peer, { syncsFailed: 1 }, event.code);
    else if (kind === 'entry-refused' && isSendersFault(event.code))
      this.#add(peer, { invalidEntries: 1 }, event.code);
  }

  /** A sync over HTTP has ended. Only one that this process ran itself can show that the node sent invalid data. */
  synced(node: string, error: string | undefined, reporter: 'daemon' | 'worker'): void {
    if (error === undefined) this.#add(node, { syncs: 1 });
    else {
      const invalidEntries = reporter === 'daemon' && isSendersFault(error) ? 1 : 0;
      this.#add(node, { syncsFailed: 1, invalidEntries }, error);
    }
  }

  forked(proofs: readonly ForkProof[]): void {
    for (const { author, channel } of proofs)
      if (channel === 'public' && parsePeerId(author) !== undefined) this.#add(author, { forks: 1 });
  }

  async stop(): Promise<void> {
    this.#timer.cancel();
    await this.#write();
    await this.#write();
  }

  #add(
    node: string,
    { syncs = 0, syncsFailed = 0, invalidEntries = 0, forks = 0 }: Partial<typeof NONE>,
    failure?: string,
  ): void {
    const { isKnown, env } = this.#parts;
    if (!isKnown(node)) return;
    if (!this.#rows.has(node) && this.#rows.size >= NODES) return;
    const row = this.#rows.get(node) ?? { ...NONE, since: env.now() };
    this.#rows.set(node, {
      ...row,
      syncs: row.syncs + syncs,
      syncsFailed: row.syncsFailed + syncsFailed,
      invalidEntries: row.invalidEntries + invalidEntries,
      forks: row.forks + forks,
      ...(failure === undefined ? {} : { lastFailedAt: env.now(), lastFailure: failure }),
    });
    this.#dirty.add(node);
  }

  #write(): Promise<void> {
    this.#writing ??= this.#save()
      .catch(this.#parts.onFailure)
      .finally(() => {
        this.#writing = undefined;
      });
    return this.#writing;
  }

  async #save(): Promise<void> {
    for (const node of this.#dirty) {
      const row = this.#rows.get(node);
      this.#dirty.delete(node);
      if (row !== undefined) await this.#parts.table.save(node, row, false);
    }
  }
}
