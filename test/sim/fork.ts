import { runCampaign } from '../support/campaign.ts';
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { type Entry, decodeEntry, signEntry } from '../../protocols/feed/entry.ts';
import { makeForkProof } from '../../protocols/feed/fork.ts';
import { frontierOf, isBehind } from '../../protocols/feed/frontier.ts';
import {
  draftEdit,
  draftFact,
  draftPrivate,
  draftTombstone,
  type Writer,
} from '../../protocols/ledger/drafts.ts';
import { rangeItems, rangeRequest } from '../../protocols/mycelium/range.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { identityFromSeed, type Identity } from '../../protocols/wire/identity.ts';
import { type Channel, recordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import { seededRandom } from '../support/random.ts';
import { checkAgainstJudge, difference } from './convergence.ts';
import { Replica } from './replica.ts';

/*
 * Somebody else signs with a node's key: other histories of its feeds, forked at the head, in the middle, at the first entry, in several
 * places, with descendants on every branch, handed to different nodes in different orders, proofs of higher places before lower ones.
 * Every node ends in the same state, and what the honest process wrote is there again.
 */

export interface ForkFigures {
  schedules: number;
  forks: number;
  forgedEntries: number;
  proofs: number;
  reissued: number;
  records: number;
  rounds: number;
}

const pick = <T>(random: () => number, list: readonly T[]): T => {
  const item = list[Math.floor(random() * list.length)];
  if (item === undefined) throw new TypeError('nothing to pick from');
  return item;
};

function identities(random: () => number, count: number): Identity[] {
  return Array.from({ length: count }, () =>
    identityFromSeed(Uint8Array.from({ length: 32 }, () => Math.floor(random() * 256))),
  );
}

const price = (pen: Writer, value: number) =>
  draftFact(pen, 'prices', {
    date: '2026-01-15',
    market: 'Nakuru',
    commodity: 'Maize',
    unit: 'KG',
    currency: 'KES',
    price: value,
    priceType: 'Retail',
  });

/** One node asks another for what it lacks, as Mycelium does over a stream. True when that brought something. */
async function sync(to: Replica, from: Replica): Promise<boolean> {
  let brought = false;
  for (const { author, channel, feeds } of from.store.feedGroups()) {
    const mine = to.store.feeds(author, channel);
    if (!isBehind(mine, frontierOf(feeds))) continue;
    const entries: Uint8Array[] = [];
    for await (const { kind, bytes } of rangeItems(from.store, rangeRequest(author, channel, mine))) {
      if (kind === 'proof') brought = (await to.ledger.receiveProof(bytes)) === 'new' || brought;
      else if (kind === 'erasure') await to.ledger.receiveErasure(bytes);
      else entries.push(bytes);
    }
    const results = await to.receive(entries);
    brought ||= results.some(({ kind }) => kind === 'accept' || kind === 'fork');
    const bad = results.find(({ kind }) => kind === 'reject');
    if (bad !== undefined) throw new Error(`an honest holder's entry was rejected: ${bad.code ?? ''}`);
  }
  return brought;
}

/** Everybody asks everybody until that brings nothing any more. */
async function settle(nodes: readonly Replica[]): Promise<number> {
  for (let round = 1; round <= 12; round++) {
    let brought = false;
    for (const to of nodes) {
      for (const from of nodes) if (from !== to && (await sync(to, from))) brought = true;
      await to.ledger.drain();
    }
    // What a fork took away is written again after the task that found it.
    for (const node of nodes) await written(node);
    if (!brought) return round;
  }
  throw new Error('after 12 rounds there is still something new');
}

/** Waits for writes that the ledger itself has begun. */
async function written(node: Replica): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    await node.ledger.drain();
    await new Promise<void>((next) => setImmediate(next));
  }
}

/** What the honest node writes: documents over several epochs, facts, tombstones, a private record with another writer. */
async function honestLife(home: Replica, partner: Replica, random: () => number): Promise<void> {
  const self = home.identity.peerId;
  const steps = 6 + Math.floor(random() * 14);
  let secret: RecordKey | undefined;
  for (let step = 0; step < steps; step++) {
    const roll = random();
    const key = recordKey('listings', self, `l${Math.floor(random() * 3)}`);
    if (roll < 0.45) {
      await home.ledger.write({
        keys: [key],
        draft: (pen, read) => {
          const known = read(key);
          if (known?.tombstone === true) return [];
          const start = known?.exists === true ? {} : { type: 'offer', status: 'active' };
          const title = random() < 0.2 ? undefined : `t${Math.floor(random() * 9)}`;
          return [draftEdit(pen, key, 'public', known, { ...start, title, price: Math.floor(random() * 9) })];
        },
      });
    } else if (roll < 0.5) {
      if ((await home.state(key)) === undefined) continue;
      await home.ledger.write({ keys: [key], draft: () => [draftTombstone(key, 'public')] });
    } else if (roll < 0.65) {
      await home.ledger.write({ keys: [], draft: (pen) => [price(pen, Math.floor(random() * 9))] });
    } else if (roll < 0.75) {
      await home.restart();
    } else if (secret === undefined) {
      const writers = [self, partner.identity.peerId].sort();
      await home.ledger.write({
        keys: [],
        draft: (pen) => {
          const draft = draftPrivate(pen, 'contracts', { writers, participants: writers }, randomBytes(16));
          secret = draft.key;
          return [draft];
        },
      });
    } else {
      const at = secret;
      const writer = random() < 0.5 ? home : partner;
      await sync(partner, home);
      await writer.ledger.write({
        keys: [at],
        draft: (pen, read) =>
          random() < 0.5
            ? [
                draftEdit(pen, at, at, read(at), {
                  title: `s${Math.floor(random() * 9)}`,
                  [`terms.00${Math.floor(random() * 3)}`]: 'x',
                }),
              ]
            : [
                draftFact(
                  pen,
                  'messages',
                  { from: 'u', type: 'text', content: 'm', sentAt: Math.floor(random() * 9) },
                  at,
                ),
              ],
      });
      await sync(home, partner);
    }
  }
  await sync(home, partner);
}

interface Forgery {
  readonly honest: Entry;
  readonly branch: readonly Entry[];
}

/** Other histories of the home node's feeds, signed with its key. */
function forge(home: Replica, random: () => number): Forgery[] {
  const entries = home.written.map(({ bytes }) => decodeEntry(bytes));
  const forgeries: Forgery[] = [];
  for (let n = 1 + Math.floor(random() * 3); n > 0; n--) {
    const roll = random();
    const same = forgeries[0]?.honest;
    // Again at a place already forked, or elsewhere in the same feed, or anywhere.
    const honest =
      same !== undefined && roll < 0.2
        ? same
        : pick(
            random,
            same !== undefined && roll < 0.6
              ? entries.filter((e) => e.header.epoch === same.header.epoch)
              : entries,
          );
    const { header } = honest;
    const branch: Entry[] = [];
    let place = { ...header };
    for (let length = 1 + Math.floor(random() * 4); length > 0; length--) {
      const pen = { author: home.identity.peerId, epoch: header.epoch };
      // Some branches name epochs that cover honest ones, or that nobody has.
      const after =
        place.seq === 1 && random() < 0.3
          ? [{ epoch: 'ab'.repeat(8), seq: 3, hash: 'cd'.repeat(32) }]
          : place.after;
      const ops = price(pen, 1000 + Math.floor(random() * 1e6)).ops;
      const entry = signEntry(home.identity, { ...place, after, time: [Date.now(), length] }, ops);
      branch.push(entry);
      place = { ...header, seq: entry.header.seq + 1, prev: entry.hash, after: [] };
    }
    forgeries.push({ honest, branch });
  }
  return forgeries;
}

/** Hands the branches and some proofs to the nodes, to each in its own order. */
async function scatter(
  nodes: readonly Replica[],
  home: Replica,
  forgeries: readonly Forgery[],
  random: () => number,
  figures: ForkFigures,
): Promise<void> {
  const honest = new Map(
    home.written.map(({ channel, epoch, seq, bytes }) => [`${channel}|${epoch}|${seq}`, bytes] as const),
  );
  const proofs = forgeries.flatMap(({ branch }) =>
    branch.flatMap((entry) => {
      const { channel, epoch, seq } = entry.header;
      const other = honest.get(`${channel}|${epoch}|${seq}`);
      return other === undefined ? [] : [makeForkProof(entry, decodeEntry(other))];
    }),
  );
  figures.proofs += proofs.length;
  const forged = forgeries.map(({ branch }) => branch.map(({ bytes }) => bytes));
  const feeds = new Map<string, Uint8Array[]>();
  for (const { channel, epoch, bytes } of home.written)
    feeds.set(`${channel}|${epoch}`, [...(feeds.get(`${channel}|${epoch}`) ?? []), bytes]);
  const pieces = [...feeds.values(), ...forged, ...forged];
  for (const node of nodes) {
    for (let n = Math.floor(random() * pieces.length * 2); n > 0; n--) {
      if (random() < 0.15 && proofs.length > 0) await node.ledger.receiveProof(pick(random, proofs).bytes);
      const piece = pick(random, pieces);
      // One batch may hold several feeds and a fork among them.
      const batch =
        random() < 0.5
          ? [...piece, ...pick(random, pieces)]
          : piece.slice(0, 1 + Math.floor(random() * piece.length));
      await node.receive(batch);
    }
    if (random() < 0.2) await node.restart();
  }
}

/** Hands each node one history of each feed, so that only their frontiers and ranges can show that there are two. */
async function split(
  nodes: readonly Replica[],
  home: Replica,
  forgeries: readonly Forgery[],
  random: () => number,
): Promise<void> {
  for (const node of nodes) {
    for (const { honest, branch } of forgeries) {
      const { channel, epoch, seq } = honest.header;
      const feed = home.written.filter((each) => each.channel === channel && each.epoch === epoch);
      const below = feed.filter((each) => each.seq < seq).map(({ bytes }) => bytes);
      const whole = feed.map(({ bytes }) => bytes);
      await node.receive(random() < 0.5 ? whole : [...below, ...branch.map(({ bytes }) => bytes)]);
    }
  }
}

async function oneSchedule(seed: number, figures: ForkFigures): Promise<void> {
  const random = seededRandom(seed);
  const [mine, hers, one, two, three, late] = identities(random, 6);
  const nodes: Replica[] = [];
  const open = async (identity: Identity | undefined): Promise<Replica> => {
    if (identity === undefined) throw new TypeError('no identity');
    const node = await Replica.open(identity);
    nodes.push(node);
    return node;
  };
  try {
    const home = await open(mine);
    const partner = await open(hers);
    await honestLife(home, partner, random);
    if (home.written.length === 0) return;
    const before = await snapshot(home);
    const forgeries = forge(home, random);
    const others = [await open(one), await open(two), await open(three)];
    const suspending = others[2];
    if (suspending !== undefined && random() < 0.4) suspending.suspend(home.identity.peerId);
    if (random() < 0.4) await split(others, home, forgeries, random);
    else {
      await scatter([...others, ...(random() < 0.5 ? [partner] : [])], home, forgeries, random, figures);
      // Somebody has every branch, else there is no fork to find.
      for (const { branch } of forgeries)
        await pick(random, others.slice(0, 2)).receive(branch.map(({ bytes }) => bytes));
    }
    if (random() < 0.5) await home.restart();
    const own = home.written.length;
    // First among the others, while the author is away: nothing comes back yet, and they agree on what has no effect.
    const company = nodes.filter((node) => node !== suspending);
    const away = company.filter((node) => node !== home);
    figures.rounds += await settle(away);
    await equal(away);
    figures.rounds += await settle(company);
    suspending?.resume(home.identity.peerId);
    await open(late);
    figures.rounds += await settle(nodes);
    await others[0]?.rebuild();
    await compare(nodes, home, before);
    const known = [home, ...others].some(({ store }) =>
      store.feeds(home.identity.peerId, 'public').some(({ fork }) => fork !== undefined),
    );
    if (known && home.written.length > own) figures.reissued++;
    if (known && !home.alarms.some(({ kind }) => kind === 'own-feed-forked'))
      throw new Error('the author was not alarmed');
    figures.schedules++;
    figures.forks += forgeries.length;
    figures.forgedEntries += forgeries.reduce((sum, { branch }) => sum + branch.length, 0);
    figures.records += before.size;
  } finally {
    for (const node of nodes) await node.close();
  }
}

type Shown = Pick<RecordState, 'tombstone' | 'view'> & { channel: Channel };

/** What the node itself shows of its own records. */
async function snapshot(home: Replica): Promise<Map<RecordKey, Shown>> {
  const shown = new Map<RecordKey, Shown>();
  for (const key of await home.keys()) {
    const state = await home.state(key);
    if (state === undefined || !(state.exists || state.tombstone)) continue;
    const view: Shown['view'] = state.tombstone ? {} : { ...state.view };
    shown.set(key, { tombstone: state.tombstone, view, channel: state.channel });
  }
  return shown;
}

async function equal(nodes: readonly Replica[]): Promise<void> {
  const reference = await nodes[0]?.picture();
  for (const [i, node] of nodes.entries()) {
    await checkAgainstJudge(node);
    const found = reference && difference(reference, await node.picture());
    if (found !== undefined) throw new Error(`node ${i} differs: ${found}`);
  }
}

async function compare(
  nodes: readonly Replica[],
  home: Replica,
  before: Map<RecordKey, Shown>,
): Promise<void> {
  await equal(nodes);
  const after = await snapshot(home);
  for (const [key, shown] of before) {
    if (!isDeepStrictEqual(after.get(key), shown))
      throw new Error(
        `${key} did not come back: ${JSON.stringify(shown)} is ${JSON.stringify(after.get(key) ?? null)}`,
      );
  }
  const forged = [...after.keys()].filter((key) => !before.has(key));
  if (forged.length > 0) throw new Error(`forged records count: ${forged.join(' ')}`);
}

/** Runs `count` schedules; the seed of a failing one is in the error. */
export async function forkCampaign(
  count: number,
  seed: number,
  onDone: () => void = () => undefined,
): Promise<ForkFigures> {
  const figures = { schedules: 0, forks: 0, forgedEntries: 0, proofs: 0, reissued: 0, records: 0, rounds: 0 };
  for (let i = 0; i < count; i++) {
    try {
      await oneSchedule(seed + i, figures);
      onDone();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      throw new Error(`COUNT=1 SEED=${seed + i} fails: ${text}`, { cause: error });
    }
  }
  return figures;
}

if (import.meta.main)
  await runCampaign('fork', 1000, ({ count, seed, onDone }) => forkCampaign(count, seed, onDone));
