import { afterEach, beforeEach, expect, it } from 'vitest';
import { ReliabilityCounts } from '../../../daemon/market/reliability.ts';
import type { ForkProof } from '../../../protocols/feed/fork.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import { reliabilityTable } from '../../../storage/node-tables.ts';
import { tempDir } from '../../support/temp-dir.ts';

const peer = identityFromSeed(new Uint8Array(32).fill(3)).peerId;
let dir: ReturnType<typeof tempDir>;
let db: Database;
let counts: ReliabilityCounts;
const failures: unknown[] = [];

async function open(): Promise<void> {
  db = await Database.open(dir.path, systemEnv);
  counts = await ReliabilityCounts.open({
    table: reliabilityTable(db),
    isKnown: (node) => node === peer || node === 'legacy:http://old.example',
    env: { ...systemEnv, now: () => 1000 },
    onFailure: (error) => failures.push(error),
  });
}
beforeEach(async () => {
  dir = tempDir('reliability');
  await open();
});
afterEach(async () => {
  await counts.stop();
  await db.close();
  dir.remove();
  expect(failures).toEqual([]);
});

it('counts what went wrong and what could only be the peer, and keeps it over a restart', async () => {
  counts.pulled({ kind: 'peer-synced', peer, received: 0 });
  counts.pulled({ kind: 'pull-failed', peer, code: 'peer-timeout' });
  counts.pulled({ kind: 'entry-refused', peer, code: 'signature-invalid' });
  // Its own registry's doing, or its own disk's: nothing that the peer did.
  for (const code of ['author-unknown', 'cut', 'disk-full', 'storage-failed'])
    counts.pulled({ kind: 'entry-refused', peer, code });
  counts.forked([{ author: peer, channel: 'public' } as ForkProof]);
  // Of private channels everybody would learn that something has happened in them.
  counts.forked([{ author: peer, channel: `contracts/${peer}/x` } as ForkProof]);
  counts.pulled({ kind: 'peer-synced', peer, received: 3, pulled: true, private: true });
  counts.pulled({ kind: 'pull-failed', peer, code: 'stream-closed', private: true });
  counts.pulled({ kind: 'entry-refused', peer, code: 'signature-invalid', private: true });
  counts.synced('legacy:http://old.example', 'export-malformed', 'daemon');
  counts.synced('legacy:http://old.example', undefined, 'worker');
  // Strangers fill nothing.
  counts.pulled({ kind: 'pull-failed', peer: 'somebody', code: 'x' });
  const expected = {
    syncs: 1,
    syncsFailed: 1,
    invalidEntries: 1,
    equivocations: 1,
    since: 1000,
    lastFailedAt: 1000,
    lastFailure: 'signature-invalid',
  };
  expect(counts.of(peer)).toEqual(expected);
  expect(counts.of('somebody')).toMatchObject({ syncsFailed: 0, since: null });
  await counts.stop();
  await db.close();
  await open();
  expect(counts.of(peer)).toEqual(expected);
  expect(counts.of('legacy:http://old.example')).toMatchObject({ syncs: 1, syncsFailed: 1 });
});
