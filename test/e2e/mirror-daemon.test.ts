import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { agrinetHere } from '../support/cli.ts';
import { type DaemonProcess, startDaemon } from '../support/daemon.ts';
import { mirrorEnv, startDynamo, type TestDynamo } from '../support/dynamo.ts';
import { type FaultyProxy, startFaultyProxy } from '../support/dynamo-proxy.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';
import type { ShownMirror } from '../sim/mirror.ts';

/** CI's share of 10,000: `WRITES=10000`. */
const WRITES = Number(process.env['WRITES'] ?? 1000);
/** Of all writes, those that change one of a few listings again. */
const FEW = 20;
const MINUTES = 60_000;

describe('a daemon whose DynamoDB is away', () => {
  const dirs: ReturnType<typeof tempDir>[] = [];
  const daemons: DaemonProcess[] = [];
  let dynamo: TestDynamo;
  let proxy: FaultyProxy;
  beforeEach(async () => {
    dynamo = await startDynamo('dynalite');
    proxy = await startFaultyProxy(dynamo.url, seededRandom(1));
  });
  afterEach(async () => {
    for (const daemon of daemons.splice(0)) await daemon.stop('SIGKILL');
    await proxy.close();
    await dynamo.stop();
    for (const dir of dirs.splice(0)) dir.remove();
  });
  const folder = (): string => {
    const dir = tempDir('mirror-daemon');
    dirs.push(dir);
    return dir.path;
  };
  async function start(path: string, env: Record<string, string> = {}): Promise<DaemonProcess> {
    const daemon = await startDaemon(path, { ...mirrorEnv(proxy.url), ...env });
    daemons.push(daemon);
    return daemon;
  }
  const mirrorOf = (daemon: DaemonProcess): Promise<ShownMirror> => daemon.json('GET', '/mirror');

  it(
    `acknowledges ${WRITES} writes, is killed while it drains, and the tables catch up`,
    { timeout: 15 * MINUTES },
    async () => {
      const path = folder();
      let daemon = await start(path);
      expect((await agrinetHere(daemon, ['mirror', 'init'])).stdout).toMatch(
        /The mirror is (running|filling)/,
      );
      proxy.setAway(true);

      const acknowledged = new Map<string, number>();
      let most = 0;
      let next = 0;
      const worker = async (): Promise<void> => {
        for (let i = next++; i < WRITES; i = next++) {
          // Half of them change the same few: the outbox holds one row for each key, not for each write.
          const id = i % 2 === 0 ? `few-${(i / 2) % FEW}` : `one-${i}`;
          const { quantity } = await daemon.json<{ quantity: number }>('PUT', `/listings/${id}`, {
            type: 'offer',
            title: id,
            quantity: i,
          });
          if (quantity === i) acknowledged.set(id, Math.max(i, acknowledged.get(id) ?? 0));
          if (i % 100 === 0) most = Math.max(most, (await mirrorOf(daemon)).outbox);
        }
      };
      await Promise.all(Array.from({ length: 16 }, worker));
      const away = await waitFor('it to notice', async () => {
        const shown = await mirrorOf(daemon);
        return shown.state === 'away' && shown;
      });
      expect(away.lag.entries).toBe(acknowledged.size);
      expect(away.lag.seconds).toBeGreaterThanOrEqual(0);
      expect([away.outbox, acknowledged.size]).toEqual([WRITES / 2 + FEW, WRITES / 2 + FEW]);
      expect(most).toBeLessThanOrEqual(WRITES / 2 + FEW);
      const ready = await daemon.json<{ degraded: string[] }>('GET', '/ready');
      expect(ready.degraded.join()).toMatch(/DynamoDB mirror is away/);

      // Killed while it drains, as often as there is something left to drain.
      proxy.setAway(false);
      const kills = [0.1, 0.4, 0.7];
      for (const share of kills) {
        await daemon.stop('SIGKILL');
        daemon = await start(path);
        await waitFor(
          `a share of ${share} to be brought out`,
          async () => (await dynamo.items('Listings', ['id'])).size >= acknowledged.size * share,
          2 * MINUTES,
        );
      }
      const left = (await mirrorOf(daemon)).outbox;
      expect(left).toBeGreaterThan(0);
      await daemon.stop('SIGKILL');
      daemon = await start(path);
      const done = await waitFor(
        'the tables to catch up',
        async () => {
          const shown = await mirrorOf(daemon);
          return shown.state === 'running' && shown.outbox === 0 && shown;
        },
        5 * MINUTES,
      );
      expect(done.incarnation).toBe(kills.length + 2);
      const items = await dynamo.items('Listings', ['id']);
      const found = new Map([...items].map(([id, item]) => [id.split('.')[1], item['quantity']?.N]));
      expect(found.size).toBe(acknowledged.size);
      // The last that each listing says at the daemon, which is the last that was acknowledged or a later one.
      for (const [id, quantity] of acknowledged) {
        const held = await daemon.json<{ quantity: number }>('GET', `/listings/${id}`);
        expect([id, found.get(id)]).toEqual([id, String(held.quantity)]);
        if (id.startsWith('one-')) expect(held.quantity).toBe(quantity);
      }
      expect((await agrinetHere(daemon, ['mirror', 'verify'])).code).toBe(0);
    },
  );

  it(
    'keeps its tables from another daemon, and names differences on the command line',
    { timeout: 5 * MINUTES },
    async () => {
      const [first, other] = [folder(), folder()];
      const daemon = await start(first, { MIRROR_PREFIX: 'x-' });
      await waitFor('the tables to be missed', async () =>
        (await agrinetHere(daemon, ['mirror'])).stdout.includes('agrinet mirror init'),
      );
      expect((await agrinetHere(daemon, ['mirror', 'init'])).code).toBe(0);
      const rival = await start(other, { MIRROR_PREFIX: 'x-' });
      await waitFor('the refusal', async () => (await mirrorOf(rival)).state === 'refused');
      const taken = await agrinetHere(rival, ['mirror', 'init', '--take-over']);
      expect([taken.code, taken.stderr]).toEqual([
        75,
        expect.stringContaining('one daemon writes a table set'),
      ]);

      for (const id of ['a', 'b']) await daemon.json('PUT', `/listings/${id}`, { type: 'offer', title: id });
      await waitFor('both', async () => (await mirrorOf(daemon)).outbox === 0);
      const items = await dynamo.items('x-Listings', ['id']);
      const [id = '', item = {}] = [...items][0] ?? [];
      await dynamo.put('x-Listings', { ...item, title: { S: 'planted' } });
      const verified = await agrinetHere(daemon, ['mirror', 'verify']);
      expect([verified.code, verified.stdout]).toEqual([
        89,
        expect.stringContaining(`differs   Listings ${id}`),
      ]);
      expect((await agrinetHere(daemon, ['mirror', 'repair'])).stdout).toContain('Items repaired: 1');
      expect((await agrinetHere(daemon, ['mirror', 'verify'])).code).toBe(0);
      expect((await dynamo.items('x-Listings', ['id'])).get(id)?.['title']).toEqual(item['title']);

      // The same node starts again at once, although nobody said that it had stopped.
      await daemon.stop('SIGKILL');
      const again = await start(first, { MIRROR_PREFIX: 'x-' });
      await waitFor('it to run again', async () => (await mirrorOf(again)).state === 'running');
      expect((await agrinetHere(again, ['mirror', 'status', '--json'])).stdout).toContain('"incarnation":2');
    },
  );
});
