import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DiffReport } from '../../api/ports/doctor.ts';
import { agrinetHere, type CliResult } from '../support/cli.ts';
import { plantDamage, flipBit } from '../support/damage.ts';
import type { Daemon } from '../support/daemon.ts';
import { Federation, sameDigest } from '../support/federation.ts';
import { waitFor } from '../support/wait.ts';

let federation: Federation;
beforeEach(() => {
  federation = new Federation();
});
afterEach(() => federation.close());

/** As the operator runs it. */
async function diff(
  of: Daemon,
  peer: string,
  ...more: string[]
): Promise<CliResult & { readonly report: DiffReport }> {
  const result = await agrinetHere(of, ['doctor', '--diff', peer, '--json', ...more]);
  expect(result.stdout, result.stderr).not.toBe('');
  return { ...result, report: JSON.parse(result.stdout) as DiffReport };
}

async function writePrices(to: Daemon, count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      date: '2026-01-01',
      market: `Market ${i}`,
      commodity: 'Maize',
      unit: 'kg',
      currency: 'KES',
      priceType: 'Retail',
      price: i + 1,
    }),
  );
  const answer = await fetch(`${to.url}/prices`, {
    method: 'POST',
    headers: { 'x-api-key': to.apiKey, 'content-type': 'application/x-ndjson' },
    body: lines.join('\n'),
  });
  expect(answer.status, await answer.text()).toBeLessThan(300);
}

describe('agrinet doctor --diff', () => {
  it('names what a suspended node has written since as lag, also with PUBLIC_READS=off there', async () => {
    const here = await federation.add();
    const there = await federation.add({ PUBLIC_READS: 'off' });
    await federation.registerAll();
    await there.json('PUT', '/listings/before', { type: 'offer', title: 'before' });
    await there.json('PUT', '/listings/changed', { type: 'offer', title: 'before' });
    const listings = async (): Promise<boolean> =>
      (await here.request('GET', `/listings/${there.peerId}.changed`)).ok;
    await waitFor('the listings here', listings);

    const asked = await fetch(`${there.url}/federation/digest/${there.peerId}/listings?prefix=`);
    expect(asked.status).toBe(403);
    const equal = await diff(here, there.peerId);
    expect([equal.code, equal.report.same, equal.report.requests]).toEqual([0, true, 2]);
    const said = await agrinetHere(here, ['doctor', '--diff', there.url]);
    expect([said.code, said.stdout]).toEqual([
      0,
      expect.stringMatching(/^The stored checksums match .*\nskipped: the records of 1 owner, .*--deep/),
    ]);
    const looked = await agrinetHere(here, ['doctor', '--diff', there.url, '--deep']);
    expect([looked.code, looked.stdout]).toEqual([
      0,
      expect.stringMatching(/^Both nodes hold the same records of 1 owner \([^\n]*\)\.$/m),
    ]);
    expect(looked.stdout).not.toContain('skipped:');

    expect((await agrinetHere(here, ['suspend', there.peerId])).code).toBe(0);
    await there.json('PATCH', '/listings/changed', { title: 'after' });
    await there.json('PUT', '/listings/after', { type: 'offer', title: 'after' });
    const { code, report } = await diff(here, there.peerId);
    expect([code, report.same, report.damaged]).toEqual([0, false, false]);
    expect(report.owners.filter(({ verdict }) => verdict !== 'same')).toEqual([
      {
        owner: there.peerId,
        frontier: 'there',
        verdict: 'lag',
        collections: [
          { collection: 'listings', onlyHere: [], onlyThere: ['after'], different: ['changed'], more: false },
        ],
      },
    ]);
    const text = await agrinetHere(here, ['doctor', '--diff', there.peerId]);
    expect(text.stdout).toContain('the peer has more entries');
    expect(text.stdout).toContain('only there  listings/after');
  });

  it('names the very records that are damaged, among thousands, with few questions; rebuild mends them', async () => {
    const here = await federation.add();
    let there = await federation.add();
    await federation.registerAll();
    await writePrices(here, 3000);
    await here.json('POST', '/listings', { type: 'offer', title: 'Maize' });
    await sameDigest([here, there], 30_000);

    await there.stop();
    const damaged = await plantDamage(there.dir, 'prices', [5, 1700, 2999]);
    there = await federation.start(there.dir, { PORT: new URL(there.url).port });

    const { code, stderr, report } = await diff(here, there.peerId);
    expect([code, report.damaged]).toEqual([81, true]);
    expect(stderr).toMatch(
      /^agrinet: Same entries but different records: stop each node and run `agrinet rebuild`/,
    );
    const [owner, ...others] = report.owners.filter(({ verdict }) => verdict !== 'same');
    expect(others).toEqual([]);
    expect(owner).toMatchObject({ owner: here.peerId, frontier: 'equal', verdict: 'damage' });
    expect(owner?.collections).toMatchObject([{ collection: 'prices', onlyHere: [], onlyThere: [] }]);
    const named = owner?.collections[0]?.different.map((id) => `prices/${here.peerId}/${id}`);
    expect(named?.toSorted()).toEqual(damaged.toSorted());
    console.log(`doctor --diff: 3 of 3,000 found with ${report.requests} requests, ${report.bytes} bytes`);
    expect(report.requests).toBeLessThanOrEqual(24);
    expect(report.bytes).toBeLessThan(32 * 1024);

    // And the doctor of either sees it once they have shown their frontiers to one another.
    await waitFor(
      'the unequal digest in the report',
      async () => {
        const found = await agrinetHere(here, ['doctor', '--json'], { DATA_DIR: here.dir });
        return found.code === 81 && found.stdout.includes('"digests"');
      },
      60_000,
    );

    await there.stop();
    const env = { DATA_DIR: there.dir, MYCELIUM_NETWORK: 'test' };
    expect((await agrinetHere(undefined, ['rebuild'], env)).code).toBe(0);
    there = await federation.start(there.dir, { PORT: new URL(there.url).port });
    const after = await diff(here, there.peerId, '--deep');
    expect([after.code, after.report.same]).toEqual([0, true]);
  }, 180_000);

  it('--deep finds a record whose value is damaged while the sums are not', async () => {
    const here = await federation.add();
    let there = await federation.add();
    await federation.registerAll();
    await here.json('PUT', '/listings/maize', { type: 'offer', title: 'Maize' });
    await sameDigest([here, there], 20_000);
    await there.stop();
    const key = await flipBit(there.dir, 'listings');
    there = await federation.start(there.dir, { PORT: new URL(there.url).port });
    expect((await diff(here, there.peerId)).report.same).toBe(true);
    const { code, report } = await diff(here, there.peerId, '--deep');
    expect([code, key]).toEqual([81, `listings/${here.peerId}/maize`]);
    expect(report.owners.find(({ owner }) => owner === here.peerId)).toMatchObject({
      verdict: 'damage',
      collections: [{ collection: 'listings', different: ['maize'] }],
    });
  });

  it('says what is wrong with a peer that is none', async () => {
    const here = await federation.add();
    const { code, stderr } = await agrinetHere(here, ['doctor', '--diff', 'nobody']);
    expect([code, stderr]).toEqual([75, expect.stringContaining('no node nobody is registered here')]);
  });
});
