import { describe, expect, it } from 'vitest';
import { checkFeeds } from '../support/feed-check.ts';
import { ProcessFederation, sameDigest } from '../support/federation.ts';
import { expectAcknowledged, nothingAcknowledged, writeUntil } from '../support/load.ts';
import { type SmallDisk, smallDisk, smallDiskLacking } from '../support/small-disk.ts';
import { waitFor } from '../support/wait.ts';

const lacking = smallDiskLacking();
const MIB = 1024 * 1024;
const LISTING = { type: 'offer', title: 'on a full disk' };

async function onSmallDisk(
  mebibytes: number,
  work: (disk: SmallDisk, federation: ProcessFederation) => Promise<void>,
): Promise<void> {
  const disk = smallDisk(mebibytes);
  const federation = new ProcessFederation();
  try {
    await work(disk, federation);
  } finally {
    await federation.close();
    disk.remove();
  }
}

describe.skipIf(lacking !== undefined)(
  `a full disk${lacking === undefined ? '' : ` [skipped: ${lacking}]`}`,
  () => {
    it('below the reserve writes are refused with 507, reads go on, and both recover without a restart', () =>
      onSmallDisk(40, async (disk, federation) => {
        const peer = await federation.add();
        const node = await federation.start(disk.path, { DISK_RESERVE_MB: '8' });
        await federation.registerAll();
        await node.json('POST', '/listings', { ...LISTING, id: 'before' });
        await sameDigest([peer, node], 15_000);

        disk.fill(4 * MIB);
        const ready = await waitFor('/ready to show it', async () => {
          const response = await node.request('GET', '/ready');
          return response.status === 503 ? ((await response.json()) as { code: string }) : undefined;
        });
        expect(ready.code).toBe('disk-full');
        for (const [method, path] of [
          ['POST', '/listings'],
          ['PATCH', '/listings/before'],
          ['POST', '/prices'],
        ] as const) {
          const refused = await node.request(method, path, path === '/prices' ? PRICE : LISTING);
          expect([method, path, refused.status]).toEqual([method, path, 507]);
          expect(await refused.json()).toMatchObject({ code: 'disk-full' });
        }
        expect((await node.request('GET', '/listings/before')).status).toBe(200);
        expect((await node.request('GET', '/health')).status).toBe(200);
        for (let i = 0; i < 20; i++) await peer.json('POST', '/listings', LISTING);
        await node.json('GET', '/federation/sync');

        disk.free();
        await waitFor('writing to go on', async () => (await node.request('GET', '/ready')).status === 200);
        await node.json('POST', '/listings', { ...LISTING, id: 'after' });
        const { owners } = await sameDigest([peer, node], 15_000);
        expect(owners[peer.peerId]?.collections['listings']?.count).toBe(20);
        expect(node.child.exitCode).toBeNull();
      }));

    it(
      'a disk that runs full under the database loses nothing acknowledged, under load and through a kill',
      () =>
        onSmallDisk(64, async (disk, federation) => {
          const peer = await federation.add();
          const env = { DISK_RESERVE_MB: '0' };
          let node = await federation.start(disk.path, env);
          await federation.registerAll();
          const told = nothingAcknowledged();
          for (let round = 0; round < 3; round++) {
            const load = new AbortController();
            const writing = writeUntil(node, told, load.signal, { text: 'x'.repeat(2000) });
            const before = told.writes;
            await waitFor('the first writes', () => told.writes > before + 100, 20_000);
            disk.fill(round === 0 ? 0 : 100_000);
            await waitFor('a write to be refused with 507', () => (told.refused.get(507) ?? 0) > 0, 20_000);
            await expectAcknowledged(node, told); // while it is full
            if (round === 1) {
              await node.stop('SIGKILL');
              load.abort();
              await writing;
              disk.free();
              node = await federation.start(disk.path, env);
            } else {
              disk.free();
              await waitFor(
                'writing to go on',
                async () => (await node.request('GET', '/ready')).status === 200,
                30_000,
              );
              const full = told.writes;
              await waitFor('writes to be acknowledged again', () => told.writes > full + 50, 20_000);
              load.abort();
              await writing;
            }
            told.refused.clear();
            await expectAcknowledged(node, told);
            await sameDigest([peer, node], 20_000);
            await checkFeeds(peer, node.peerId);
          }
          expect(await node.stop('SIGTERM')).toBe(0);
          node = await federation.start(disk.path, env);
          await expectAcknowledged(node, told);
          await checkFeeds(node, node.peerId);
        }),
      120_000,
    );
  },
);

const PRICE = {
  date: '2026-01-01',
  market: 'Nairobi',
  category: 'cereals',
  commodity: 'Maize',
  unit: 'KG',
  priceFlag: 'actual',
  priceType: 'Retail',
  currency: 'KES',
  price: 1,
};
