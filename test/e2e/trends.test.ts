import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readIdentity } from '../../daemon/identity-file.ts';
import { draftFact } from '../../protocols/ledger/drafts.ts';
import { agrinetHere } from '../support/cli.ts';
import { join } from '../support/daemon.ts';
import { counted, Federation, type Member, sameDigest } from '../support/federation.ts';
import { startNode } from '../support/in-process-node.ts';
import { waitFor } from '../support/wait.ts';

const MYCELIUM_NETWORK = `trends-${randomBytes(6).toString('hex')}`;
const MONTHS = Array.from({ length: 12 }, (_, i) => `2025-${String(i + 1).padStart(2, '0')}-15`);

const prices = (market: string, latest: number) =>
  MONTHS.map((date, i) => ({
    date,
    market,
    admin1: 'Nyanza',
    commodity: 'Maize',
    unit: '90 KG',
    currency: 'KES',
    priceType: 'Wholesale',
    price: i === 11 ? latest : 100,
  }));

interface Verdict {
  readonly trendId: string;
  readonly owner: string;
  readonly verdict: string;
  readonly differs: readonly string[];
  readonly lacking: number;
  readonly owners: readonly { owner: string; named: number; held: number; state: string }[];
}
/** What `agrinet trends verify` says on a node, and its exit code. */
async function verify(at: Member, ...what: string[]): Promise<{ code: number | null; verdicts: Verdict[] }> {
  const { code, stdout } = await agrinetHere(at, ['trends', 'verify', ...what, '--json']);
  const lines = stdout.split('\n').filter((line) => line !== '');
  return { code, verdicts: lines.map((line) => JSON.parse(line) as Verdict) };
}
const publish = async (on: Member): Promise<string> =>
  (await on.json<{ trendId: string }>('POST', '/trends/snapshots')).trendId;
const arrived = (on: Member, id: string): Promise<true> =>
  waitFor(
    'the snapshot to arrive',
    async () => ((await on.request('GET', `/trends/snapshots/${id}`)).ok ? true : undefined),
    20_000,
  );

describe('trend snapshots among three nodes', () => {
  const federation = new Federation();
  let a: Member;
  let b: Member;
  let c: Member;
  let id = '';

  beforeAll(async () => {
    a = await federation.add({ MYCELIUM_NETWORK, REGION: 'Nyanza' });
    b = await federation.add({ MYCELIUM_NETWORK, REGION: 'Nyanza' });
    c = await federation.add({ MYCELIUM_NETWORK, REGION: 'Nyanza' });
    await federation.registerAll();
    for (const [node, market, latest] of [
      [a, 'Kisumu', 110],
      [b, 'Siaya', 120],
      [c, 'Homa Bay', 130],
    ] as const)
      for (const price of prices(market, latest)) await node.json('POST', '/prices', price);
    await sameDigest(federation.members, 20_000, (state) => counted(state, 'prices') === 36);
  });
  afterAll(() => federation.close());

  it('publish equal reports from equal prices, and each verifies the others', async () => {
    id = await publish(a);
    const other = await publish(b);
    for (const node of [a, b, c]) for (const one of [id, other]) await arrived(node, one);
    const body = async (on: Member, of: string): Promise<string> =>
      (await on.json<{ body: string }>('GET', `/trends/snapshots/${of}`)).body;
    expect(await body(a, id)).toBe(await body(b, other));
    expect(JSON.parse(await body(c, id))).toMatchObject({
      inputs: { prices: 36 },
      global: { signals: [{ commodity: 'Maize', changePct: 20, sampleSize: 3 }] },
    });
    const { code, verdicts } = await verify(c);
    expect(code).toBe(0);
    expect(verdicts.map(({ owner, verdict }) => [owner, verdict]).sort()).toEqual(
      [a, b].map(({ peerId }) => [peerId, 'verified']).sort(),
    );
    const { stdout } = await agrinetHere(c, ['trends']);
    expect(stdout).toContain('Maize prices up 20% month-over-month in all regions.');
  });

  it('stay verifiable when more prices come in; a node without them says how many it lacks', async () => {
    await c.json('POST', '/prices', { ...prices('Migori', 90)[0] });
    await sameDigest([a, b, c], 20_000, (state) => counted(state, 'prices') === 37);
    expect(await verify(b, a.peerId)).toMatchObject({
      code: 0,
      verdicts: [{ verdict: 'verified', trendId: id }],
    });
    const late = await federation.add({ MYCELIUM_NETWORK, REGION: 'Coast' });
    // It follows a alone, so the prices of b and c are not for it.
    await join(late, a);
    await arrived(late, id);
    const { code, verdicts } = await verify(late, id);
    expect(code).toBe(0);
    expect(verdicts).toMatchObject([{ verdict: 'other-inputs', lacking: 24 }]);
    expect(verdicts[0]?.owners.map(({ named, held, state }) => [named, held, state])).toEqual([
      [12, 0, 'lacking'],
      [12, 0, 'lacking'],
    ]);
  });

  it('with a forged body are found out, though signed and chained like any other', async () => {
    const honest = await a.json<{ body: string; region: string; asOf: string; inputs: string }>(
      'GET',
      `/trends/snapshots/${id}`,
    );
    await b.stop();
    const identity = await readIdentity(b.dir);
    if (identity === undefined) throw new Error('no identity');
    const { region, asOf, inputs } = honest;
    const forger = await startNode(b.dir, { MYCELIUM_NETWORK, REGION: 'Nyanza' }, identity);
    const body = honest.body.replaceAll('"changePct":20', '"changePct":-60');
    expect(body).not.toBe(honest.body);
    await forger.node.ledger.write({
      keys: [],
      draft: (pen) => [draftFact(pen, 'trends', { region, asOf, inputs, body, publishedAt: Date.now() })],
    });
    await forger.stop();
    b = await federation.start(b.dir, { MYCELIUM_NETWORK, REGION: 'Nyanza' });
    const newest = await b.json<{ snapshots: { trendId: string }[] }>('GET', '/trends/snapshots?limit=1');
    const forged = newest.snapshots[0]?.trendId ?? '';
    await arrived(c, forged);
    const { code, verdicts } = await verify(c);
    expect(code).toBe(80);
    expect(verdicts.find(({ trendId }) => trendId === forged)).toMatchObject({
      owner: b.peerId,
      verdict: 'differs',
      differs: ['body.global.signals.0.changePct', 'body.local.signals.0.changePct'],
    });
    expect(verdicts.find(({ owner }) => owner === a.peerId)?.verdict).toBe('verified');
  });
});
