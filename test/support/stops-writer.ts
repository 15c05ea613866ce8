/**
 * A node's storage in a process of its own, for whoever wants to stop it at any moment: `node stops-writer.ts DIR SEED`. It tells
 * its parent what opening found and shows, then writes without end and tells what was acknowledged. SIGTERM closes it as the daemon
 * does; an error ends it with the daemon's exit code. LevelDB's write buffer is as small as it goes, so it compacts all the time.
 */
import { exitCodeFor } from '../../daemon/exit-codes.ts';
import { errorCode } from '../../protocols/errors.ts';
import { identityFromSeed } from '../../protocols/wire/identity.ts';
import type { Findings } from '../../storage/database.ts';
import { range } from '../../storage/keyspace.ts';
import { readRecordRow } from '../../storage/stored-record.ts';
import { type LedgerNode, openLedgerNode } from './ledger-node.ts';
import { seededRandom } from './random.ts';
import { threadedMerger } from './merger.ts';

export type WriterMessage =
  | { readonly kind: 'opening' }
  | {
      readonly kind: 'opened';
      readonly alarms: readonly string[];
      readonly findings: Findings;
      /** The quantity that each listing shows. */
      readonly shown: Readonly<Record<string, number>>;
    }
  /** These listings were acknowledged with these quantities. */
  | { readonly kind: 'acknowledged'; readonly writes: Readonly<Record<string, number>> };

/** LevelDB takes no smaller one. */
const WRITE_BUFFER_BYTES = 64 * 1024;
const LISTINGS = 300;
const IN_FLIGHT = 24;

function tell(message: WriterMessage): void {
  process.send?.(message);
}

async function shownBy({ db }: LedgerNode): Promise<Record<string, number>> {
  const shown: Record<string, number> = {};
  for await (const [key, value] of db.level.iterator(range('records', 'listings/'))) {
    const { state } = readRecordRow(key, value);
    shown[state.key.slice(state.key.lastIndexOf('/') + 1)] = Number(state.view['quantity'] ?? 0);
  }
  return shown;
}

async function main(dir: string, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const merger = threadedMerger();
  let stopping = false;
  process.on('SIGTERM', () => (stopping = true));
  tell({ kind: 'opening' });
  const identity = identityFromSeed(Buffer.alloc(32, 1));
  const node = await openLedgerNode(dir, identity, merger, () => undefined, {
    writeBufferBytes: WRITE_BUFFER_BYTES,
  });
  const shown = await shownBy(node);
  tell({ kind: 'opened', alarms: node.alarms(), findings: node.db.findings, shown });
  const next = { ...shown };
  while (!stopping) {
    const writes: Record<string, number> = {};
    for (let i = 0; i < IN_FLIGHT; i++) {
      const id = `l${Math.floor(random() * LISTINGS)}`;
      next[id] = writes[id] = (next[id] ?? 0) + 1;
    }
    await Promise.all(
      Object.entries(writes).map(([id, quantity]) =>
        node.catalogue.putListing(id, {
          type: 'offer',
          title: id,
          quantity,
          // No two alike, so that LevelDB's compression does not make them small again.
          description: Array.from({ length: 200 }, () => random().toString(36).slice(2)).join(''),
        }),
      ),
    );
    tell({ kind: 'acknowledged', writes });
  }
  await node.close();
  await merger.stop();
  process.disconnect();
}

const [dir = '', seed = ''] = process.argv.slice(2);
await main(dir, Number(seed)).catch((error: unknown) => {
  console.error(error);
  process.exit(exitCodeFor(errorCode(error) ?? 'internal'));
});
