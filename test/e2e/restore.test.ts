import { cpSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkFeeds } from '../support/feed-check.ts';
import { ProcessFederation, type ProcessMember, sameDigest } from '../support/federation.ts';
import { expectAcknowledged, nothingAcknowledged, writeUntil } from '../support/load.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

const alarmsOf = async (member: ProcessMember): Promise<string[]> =>
  (await member.json<{ alarms: { kind: string }[] }>('GET', '/ready')).alarms.map(({ kind }) => kind);

/** Writes for a while; on return nothing is in flight. */
async function writeSome(
  member: ProcessMember,
  told: ReturnType<typeof nothingAcknowledged>,
  count: number,
): Promise<void> {
  const load = new AbortController();
  const enough = told.writes + count;
  const writing = writeUntil(member, told, load.signal, { inFlight: 16 });
  await waitFor('writes', () => told.writes >= enough, 20_000);
  load.abort();
  await writing;
}

it('takes back from its peer what an older copy of the folder does not have, and goes on writing: no fork', async () => {
  const federation = new ProcessFederation();
  const copy = tempDir('copy');
  const told = nothingAcknowledged();
  try {
    const peer = await federation.add();
    let node = await federation.add();
    await federation.registerAll();
    for (let round = 0; round < 2; round++) {
      await writeSome(node, told, 100);
      await node.stop(round === 1 ? 'SIGKILL' : 'SIGTERM');
      rmSync(copy.path, { recursive: true, force: true });
      cpSync(node.dir, copy.path, { recursive: true });
      node = await federation.start(node.dir);
      await writeSome(node, told, 150);
      await sameDigest([peer, node], 20_000);
      await node.stop('SIGKILL');
      rmSync(node.dir, { recursive: true });
      cpSync(copy.path, node.dir, { recursive: true });
      node = await federation.start(node.dir);
      await writeSome(node, told, 20); // at once, whatever it has back by then
      await sameDigest([peer, node], 20_000);
      for (const holder of [peer, node]) await checkFeeds(holder, node.peerId);
      await expectAcknowledged(node, told);
      expect(await alarmsOf(node)).toContain('own-entries-returned');
      expect(await alarmsOf(peer)).toEqual([]);
    }
  } finally {
    await federation.close();
    copy.remove();
  }
}, 120_000);

it(`tells what a truncated log took away and takes it back from its peer: no fork (seed ${seed})`, async () => {
  const random = seededRandom(seed);
  const federation = new ProcessFederation();
  const told = nothingAcknowledged();
  try {
    const peer = await federation.add();
    let node = await federation.add();
    await federation.registerAll();
    await node.stop();
    node = await federation.start(node.dir); // the registration now stands in a table
    for (let round = 0; round < 2; round++) {
      await writeSome(node, told, 200);
      await sameDigest([peer, node], 20_000);
      await node.stop(round === 1 ? 'SIGTERM' : 'SIGKILL');
      const folder = join(node.dir, 'db');
      const log =
        readdirSync(folder)
          .filter((name) => name.endsWith('.log'))
          .toSorted()
          .at(-1) ?? '';
      const { size } = statSync(join(folder, log));
      truncateSync(join(folder, log), Math.floor(size * random()));
      node = await federation.start(node.dir);
      expect(await alarmsOf(node)).toContain('tail-lost');
      await sameDigest([peer, node], 20_000);
      for (const holder of [peer, node]) await checkFeeds(holder, node.peerId);
      await expectAcknowledged(node, told);
    }
  } finally {
    await federation.close();
  }
}, 120_000);
