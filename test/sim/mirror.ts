/**
 * Mirrors a market to a DynamoDB and holds the tables against LevelDB, item by item: as it is, and through a proxy that throttles,
 * reorders, drops, answers nothing after success and delivers late. By itself: `COUNT=20 SEED=1 RECORDS=10000 KIND=jar node
 * test/sim/mirror.ts`; the tests run the same with less.
 */
import { figure, runCampaign } from '../support/campaign.ts';
import { type DynamoKind, mirrorEnv, startDynamo, type TestDynamo } from '../support/dynamo.ts';
import { ALL_FAULTS, startFaultyProxy } from '../support/dynamo-proxy.ts';
import { startNode, type TestNode } from '../support/in-process-node.ts';
import { expectSameTables, makeMarket } from '../support/mirror-market.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

/** As `GET /mirror` tells it. */
export interface ShownMirror {
  readonly state: string;
  readonly detail: string;
  readonly lag: { readonly entries: number; readonly seconds: number };
  readonly outbox: number;
  readonly waiting: number;
  readonly written: number;
  readonly overtaken: number;
  readonly tombstoned: number;
  readonly removed: number;
  readonly failures: number;
  readonly incarnation: number;
  readonly refused: {
    readonly count: number;
    readonly rows: readonly { readonly key: string; readonly reason: string }[];
  };
  readonly lastError: string | null;
  readonly holder: { readonly peerId: string } | null;
}

/** Short times: what AWS takes 15 minutes for is over in a moment, though later than the latest request of the proxy. */
export const QUICK = { requestMs: 700, graceMs: 7000, retryMs: 300, backoffMs: 1000 } as const;

export async function mirrorOf(node: TestNode): Promise<ShownMirror> {
  return (await (await node.request('GET', '/mirror')).json()) as ShownMirror;
}

/** Waits until everything is in the tables; with `tombstones` until these are removed too. */
export function broughtOut(node: TestNode, ms = 120_000, tombstones = true): Promise<ShownMirror> {
  return waitFor(
    'the mirror to catch up',
    async () => {
      const shown = await mirrorOf(node);
      const left = tombstones ? shown.outbox : shown.lag.entries;
      return shown.state === 'running' && left === 0 && shown;
    },
    ms,
  );
}

export interface MirrorFigures {
  items: number;
  written: number;
  failures: number;
  overtaken: number;
  removed: number;
  faults: Readonly<Record<string, number>>;
  seconds: number;
}

/**
 * Changes the same few listings again as soon as the change before has gone out, and ends some: what then comes late is older than
 * what is there.
 */
async function churn(node: TestNode, random: () => number): Promise<void> {
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 12; i++) {
      const path = `/listings/churn-${round < 5 ? i : i + 6}`;
      const body = { type: 'offer', title: `round ${round}`, quantity: round };
      const last = round === 4 || round === 9;
      if (last && random() < 0.5) await node.request('DELETE', path);
      else await node.request('PUT', path, body);
    }
    await waitFor('the round to go out', async () => (await mirrorOf(node)).lag.entries === 0, 60_000);
  }
}

/** One market through the proxy; throws when the tables and LevelDB differ. The tables bear the seed as their prefix. */
export async function mirrorRound(
  dynamo: TestDynamo,
  { seed, records, faulty }: { seed: number; records: number; faulty: boolean },
): Promise<MirrorFigures> {
  const random = seededRandom(seed);
  const dir = tempDir('mirror');
  const prefix = `s${seed}-${faulty ? 'f' : 'c'}-${Math.floor(performance.now())}-`;
  const proxy = await startFaultyProxy(dynamo.url, random, { lateMs: 3500 });
  const env = { ...mirrorEnv(proxy.url), MIRROR_PREFIX: prefix, RATE_LIMIT: 'off' };
  const node = await startNode(dir.path, env, undefined, { mirrorLimits: QUICK });
  const begun = performance.now();
  try {
    const made = await node.request('POST', '/mirror/init', {});
    if (!made.ok) throw new Error(`no tables: ${await made.text()}`);
    if (faulty) proxy.setFaults(ALL_FAULTS);
    await makeMarket(node, records / 2, random, 1);
    await makeMarket(node, records / 2, random, 2);
    await churn(node, random);
    await broughtOut(node, 120_000 + records * 60, false);
    proxy.setFaults(undefined);
    await waitFor('late requests', () => proxy.idle());
    const { written, failures, overtaken, removed } = await broughtOut(node);
    const items = await expectSameTables(node, dynamo, prefix);
    const seconds = (performance.now() - begun) / 1000;
    return { items, written, failures, overtaken, removed, faults: proxy.told, seconds };
  } catch (error) {
    throw new Error(`seed ${seed} failed: ${JSON.stringify(await mirrorOf(node))}`, { cause: error });
  } finally {
    await node.stop();
    await proxy.close();
    dir.remove();
  }
}

if (import.meta.main)
  await runCampaign('mirror', 20, async ({ count, seed, onDone }) => {
    const records = figure('RECORDS', 10_000);
    const kind: DynamoKind = process.env['KIND'] === 'dynalite' ? 'dynalite' : 'jar';
    const dynamo = await startDynamo(kind);
    try {
      const rounds = [await mirrorRound(dynamo, { seed, records, faulty: false })];
      for (let i = 0; i < count; i++) {
        rounds.push(await mirrorRound(dynamo, { seed: seed + i, records, faulty: true }));
        onDone();
      }
      return rounds;
    } finally {
      await dynamo.stop();
    }
  });
