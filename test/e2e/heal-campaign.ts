/**
 * Cuts one of three daemons off the network, writes on every side, heals, and measures until all three show the same digest.
 * By itself: `COUNT=20 SECONDS_CUT=30 SEED=7 node test/e2e/heal-campaign.ts`; the test runs the same with less.
 */
import { figure, runCampaign } from '../support/campaign.ts';
import { Archipelago, type Island } from '../support/namespaces.ts';
import {
  counted,
  digestOf,
  ProcessFederation,
  type ProcessMember,
  sameDigest,
} from '../support/federation.ts';
import { seededRandom } from '../support/random.ts';

export interface HealOptions {
  readonly count: number;
  readonly cutMs: number;
  readonly seed: number;
  /** Time allowed from the healing to equal digests. */
  readonly withinMs: number;
  readonly onDone?: () => void;
}

export interface HealFigures {
  /** Milliseconds from each healing to equal digests. */
  readonly healed: readonly number[];
  /** Listings written on all sides while one was cut off. */
  readonly writes: number;
}

const SIDES = 3;
/** Between two writes of one side: enough to matter, little enough for two cores. */
const PAUSE_MS = 50;

/** Throws when a healing takes too long, a write is lost or the cut does not cut. */
export async function healCampaign(options: HealOptions): Promise<HealFigures> {
  const { count, cutMs, seed, withinMs, onDone = () => undefined } = options;
  const random = seededRandom(seed);
  const sea = new Archipelago();
  const federation = new ProcessFederation();
  const healed: number[] = [];
  let writes = 0;
  try {
    const sides: { island: Island; member: ProcessMember }[] = [];
    for (let i = 0; i < SIDES; i++) {
      const island = sea.add();
      const env = {
        HOST: island.controlAddress,
        MYCELIUM_HOST: island.dataAddress,
        ALLOW_PRIVATE_PEERS: 'on',
      };
      sides.push({ island, member: await federation.add(env, island.prefix) });
    }
    await federation.registerAll();
    await writeListings(federation.members, 1);
    writes += SIDES;
    await sameDigest(federation.members, 15_000, (state) => counted(state, 'listings') === writes);

    for (let round = 0; round < count; round++) {
      const away = sides[Math.floor(random() * sides.length)];
      if (away === undefined) throw new Error('no side was chosen');
      away.island.cut();
      const cutAt = performance.now();
      let written = 0;
      try {
        while (performance.now() - cutAt < cutMs) {
          written += await writeListings(federation.members, 1);
          await new Promise((next) => setTimeout(next, PAUSE_MS));
        }
        await expectCut(federation.members, away.member, written);
      } finally {
        away.island.heal();
      }
      writes += written;
      const healedAt = performance.now();
      const expected = writes;
      await sameDigest(federation.members, withinMs, (state) => counted(state, 'listings') === expected);
      const ms = Math.round(performance.now() - healedAt);
      healed.push(ms);
      onDone();
    }
    return { healed, writes };
  } catch (error) {
    throw new Error(`heal campaign failed; run it again with SEED=${seed}`, { cause: error });
  } finally {
    await federation.close();
    sea.close();
  }
}

/** One listing on each member at once; returns how many. */
async function writeListings(members: readonly ProcessMember[], each: number): Promise<number> {
  await Promise.all(
    members.map(async (member) => {
      for (let i = 0; i < each; i++)
        await member.json('POST', '/listings', { type: 'offer', title: 'written while cut off' });
    }),
  );
  return members.length * each;
}

/** A cut that does not cut would heal in no time. */
async function expectCut(
  members: readonly ProcessMember[],
  away: ProcessMember,
  written: number,
): Promise<void> {
  const ownOf = async (holder: ProcessMember, owner: ProcessMember): Promise<number> =>
    (await digestOf(holder)).owners[owner.peerId]?.collections['listings']?.count ?? 0;
  const share = written / members.length;
  for (const other of members) {
    if (other === away) continue;
    const behind = [
      (await ownOf(away, away)) - (await ownOf(other, away)),
      (await ownOf(other, other)) - (await ownOf(away, other)),
    ];
    if (behind.some((lag) => lag !== share))
      throw new Error(`the cut let something through: behind by ${behind.join(' and ')} of ${share}`);
  }
}

if (import.meta.main)
  await runCampaign('heal', 20, async ({ count, seed, onDone }) => {
    const cutMs = figure('SECONDS_CUT', 30) * 1000;
    const { healed, writes } = await healCampaign({ count, cutMs, seed, withinMs: 10_000, onDone });
    const sorted = healed.toSorted((a, b) => a - b);
    return { heals: healed.length, writes, medianMs: sorted[sorted.length >> 1], worstMs: sorted.at(-1) };
  });
