import { type Env, every } from '../../protocols/env.ts';
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

/** Counts how nodes do as peers. It says nothing of the trade of their users. */
export interface ReliabilityCounts {
  of(node: string): Reliability;
  pulled(event: PullEvent): void;
  /** A sync over HTTP has ended. Only one that this process did itself can show that the node sent what is invalid. */
  synced(node: string, error: string | undefined, reporter: 'daemon' | 'worker'): void;
  forked(proofs: readonly ForkProof[]): void;
  stop(): Promise<void>;
}

const NONE: Omit<ReliabilityRow, 'since'> = { syncs: 0, syncsFailed: 0, invalidEntries: 0, forks: 0 };

export async function countReliability(parts: ReliabilityParts): Promise<ReliabilityCounts> {
  const rows = await parts.table.load();
  const dirty = new Set<string>();
  let writing: Promise<void> | undefined;

  function change(node: string, update: (row: ReliabilityRow) => Partial<ReliabilityRow>): void {
    if (!parts.isKnown(node)) return;
    const row = rows.get(node) ?? { ...NONE, since: parts.env.now() };
    if (!rows.has(node) && rows.size >= NODES) return;
    rows.set(node, { ...row, ...update(row) });
    dirty.add(node);
  }
  const failed = (code: string): Partial<ReliabilityRow> => ({
    lastFailedAt: parts.env.now(),
    lastFailure: code,
  });

  async function save(): Promise<void> {
    for (const node of dirty) {
      const row = rows.get(node);
      dirty.delete(node);
      if (row !== undefined) await parts.table.save(node, row, false);
    }
  }
  function write(): Promise<void> {
    writing ??= save()
      .catch(parts.onFailure)
      .finally(() => {
        writing = undefined;
      });
    return writing;
  }
  const timer = every(parts.env, SAVE_MS, () => void write());

  return {
    of(node) {
      const row = rows.get(node);
      return {
        syncs: row?.syncs ?? 0,
        syncsFailed: row?.syncsFailed ?? 0,
        invalidEntries: row?.invalidEntries ?? 0,
        equivocations: row?.forks ?? 0,
        since: row?.since ?? null,
        lastFailedAt: row?.lastFailedAt ?? null,
        lastFailure: row?.lastFailure ?? null,
      };
    },
    pulled(event) {
      const { kind, peer } = event;
      // It is told to everybody, and so moves with nothing private.
      if ('private' in event) return;
      if (kind === 'peer-synced') change(peer, ({ syncs }) => ({ syncs: syncs + 1 }));
      else if (kind === 'pull-failed')
        change(peer, ({ syncsFailed }) => ({ syncsFailed: syncsFailed + 1, ...failed(event.code) }));
      else if (kind === 'entry-refused' && isSendersFault(event.code))
        change(peer, ({ invalidEntries }) => ({ invalidEntries: invalidEntries + 1, ...failed(event.code) }));
    },
    synced(node, error, reporter) {
      change(node, ({ syncs, syncsFailed, invalidEntries }) =>
        error === undefined
          ? { syncs: syncs + 1 }
          : {
              syncsFailed: syncsFailed + 1,
              invalidEntries: invalidEntries + (reporter === 'daemon' && isSendersFault(error) ? 1 : 0),
              ...failed(error),
            },
      );
    },
    forked(proofs) {
      for (const { author, channel } of proofs)
        if (channel === 'public' && parsePeerId(author) !== undefined)
          change(author, ({ forks }) => ({ forks: forks + 1 }));
    },
    async stop() {
      timer.cancel();
      await write();
      await write();
    },
  };
}
