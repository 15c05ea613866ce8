import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { catalogueDigest } from '../support/catalogue-digest.ts';
import { agrinet, agrinetHere } from '../support/cli.ts';
import { compileCache } from '../support/compile-cache.ts';
import { type Daemon, startDaemonHere } from '../support/daemon.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';

const BIN = fileURLToPath(new URL('../../daemon/agrinet.mjs', import.meta.url));
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const RECORDS = 6000;

/** An export; `rest` is everything in it but when it was made and the cursor. */
async function exported(daemon: Daemon, query = ''): Promise<{ cursor: string; rest: string }> {
  const body = await daemon.json<{ cursor: string; generatedAt: string }>(
    'GET',
    `/federation/export${query}`,
  );
  const { cursor, generatedAt: _, ...rest } = body;
  return { cursor, rest: JSON.stringify(rest) };
}

/** Everything the node shows: the digest, the export, and two lists that come from indexes. */
async function shown(daemon: Daemon): Promise<string[]> {
  const texts = [
    catalogueDigest(await daemon.json('GET', '/federation/digest')),
    (await exported(daemon)).rest,
  ];
  for (const path of ['/listings?region=coast&limit=500', '/prices?market=Mombasa&limit=100'])
    texts.push(await (await daemon.request('GET', path)).text());
  return texts;
}

it(`a rebuild gives the same digest and views, however often it is cut off (seed ${seed})`, async () => {
  const random = seededRandom(seed);
  const dir = tempDir('rebuild');
  let daemon: Daemon | undefined;
  try {
    daemon = await startDaemonHere(dir.path);
    const lines = Array.from({ length: RECORDS }, (_, i) =>
      JSON.stringify(
        i % 2 === 0
          ? {
              kind: 'listing',
              id: `l${i}`,
              type: 'offer',
              title: `listing ${i}`,
              region: i % 3 === 0 ? 'coast' : 'rift',
            }
          : {
              kind: 'price',
              date: '2026-01-01',
              market: i % 5 === 0 ? 'Mombasa' : 'Nairobi',
              category: 'c',
              commodity: `c${i}`,
              unit: 'KG',
              priceFlag: 'actual',
              priceType: 'Retail',
              currency: 'KES',
              price: i,
            },
      ),
    );
    const imported = await fetch(`${daemon.url}/import`, {
      method: 'POST',
      headers: { 'x-api-key': daemon.apiKey, 'content-type': 'application/x-ndjson' },
      body: lines.join('\n'),
    });
    expect(await imported.text()).toContain(`"created":${RECORDS}`);
    for (let i = 0; i < 40; i += 2) await daemon.json('PATCH', `/listings/l${i}`, { title: `edited ${i}` });
    await daemon.request('DELETE', '/listings/l2');
    const before = await shown(daemon);
    const { cursor, rest: all } = await exported(daemon);
    expect(JSON.parse((await exported(daemon, `?since=${cursor}`)).rest)).toMatchObject({ count: 0 });
    expect(await daemon.stop()).toBe(0);

    const env = { DATA_DIR: dir.path };
    expect((await agrinetHere(undefined, ['fsck'], env)).code).toBe(0);
    const whole = await agrinetHere(undefined, ['rebuild', '--json'], env);
    expect(JSON.parse(whole.stdout)).toMatchObject({ records: RECORDS + 1, problems: [] }); // and the head of the audit log
    const started = performance.now();
    await agrinet(undefined, ['rebuild'], env);
    const ms = performance.now() - started;
    for (let round = 0; round < 4; round++) {
      const child = spawn(process.execPath, [BIN, 'rebuild'], {
        env: { PATH: process.env['PATH'] ?? '', ...compileCache(), ...env },
        stdio: 'ignore',
      });
      const timer = setTimeout(() => child.kill('SIGKILL'), ms * (0.3 + 0.65 * random()));
      await once(child, 'exit');
      clearTimeout(timer);
    }
    daemon = await startDaemonHere(dir.path);
    expect(await shown(daemon)).toEqual(before);
    // A rebuild numbers the changes anew: whoever comes with a cursor from before gets everything, not a gap.
    const after = await exported(daemon, `?since=${cursor}`);
    expect(after.rest).toBe(all);
    expect(after.cursor.split('.')[0]).not.toBe(cursor.split('.')[0]);
    expect(await daemon.stop()).toBe(0);
    const checked = await agrinetHere(undefined, ['fsck'], env);
    expect([checked.code, checked.stderr]).toEqual([0, '']);
  } finally {
    await daemon?.stop();
    dir.remove();
  }
}, 120_000);
