import { runCampaign } from '../support/campaign.ts';
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import * as Automerge from '@automerge/automerge';
import type { Draft, Patch, Writer } from '../../protocols/ledger/drafts.ts';
import { draftEdit, draftFact, draftPrivate, draftTombstone } from '../../protocols/ledger/drafts.ts';
import type { Received } from '../../protocols/ledger/types.ts';
import { encodeOp } from '../../protocols/feed/op.ts';
import { encodeChange } from '../../protocols/open-dialog/change.ts';
import { genesisOf, SCHEMA_FIELD } from '../../protocols/open-dialog/genesis.ts';
import { evaluateWhole } from '../support/evaluate-whole.ts';
import { actorOf } from '../../protocols/open-dialog/read-op.ts';
import type { PlacedOp, RecordState } from '../../protocols/open-dialog/record.ts';
import { COLLECTIONS } from '../../protocols/open-dialog/schema.ts';
import { identityFromSeed, type Identity } from '../../protocols/wire/identity.ts';
import { recordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import { seededRandom } from '../support/random.ts';
import { type Picture, Replica } from './replica.ts';

/*
 * Any order, duplication, route or grouping of the same entries gives the same digests, views, conflicts and verdicts. A schedule
 * writes with several authors, one of them on two disks at once, through restarts, with records passed around in part; then observers take the
 * same entries in every which way, one is rebuilt, and every document is merged by Automerge itself.
 */

/** What one campaign covered, so that a test can see that it was not idle. */
export interface ConvergenceFigures {
  schedules: number;
  entries: number;
  records: number;
  applied: number;
  pending: number;
  rejected: number;
  conflicts: number;
  epochs: number;
  messages: number;
}

const pick = <T>(random: () => number, list: readonly T[]): T => {
  const item = list[Math.floor(random() * list.length)];
  if (item === undefined) throw new TypeError('nothing to pick from');
  return item;
};

function shuffled<T>(random: () => number, list: readonly T[]): T[] {
  return list
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

function identities(random: () => number, count: number): Identity[] {
  return Array.from({ length: count }, () =>
    identityFromSeed(Uint8Array.from({ length: 32 }, () => Math.floor(random() * 256))),
  );
}

type Feeds = Map<string, Uint8Array[]>;

/** Every entry written, by feed and in order. */
function feedsOf(writers: readonly Replica[]): Feeds {
  const feeds: Feeds = new Map();
  for (const { written } of writers) {
    for (const { author, channel, epoch, bytes } of written) {
      const id = `${author}|${channel}|${epoch}`;
      feeds.set(id, [...(feeds.get(id) ?? []), bytes]);
    }
  }
  return feeds;
}

/** Random writes by three authors, the first on two disks, that see one another's entries late and in part. */
class Schedule {
  readonly #random: () => number;
  readonly #listings: RecordKey[] = [];
  readonly #private: { key: RecordKey; collection: string }[] = [];
  readonly writers: Replica[];
  readonly #seen = new Map<string, number>();

  constructor(random: () => number, writers: Replica[]) {
    this.#random = random;
    this.writers = writers;
  }

  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      const writer = pick(this.#random, this.writers);
      const roll = this.#random();
      if (roll < 0.2) await this.#listing(writer);
      else if (roll < 0.25) await this.#end(writer);
      else if (roll < 0.31) await this.#write(writer, [], (pen) => [this.#price(pen)]);
      else if (roll < 0.37) await this.#open(writer);
      else if (roll < 0.58) await this.#editPrivate(writer);
      else if (roll < 0.66) await this.#message(writer);
      else if (roll < 0.72) await this.#broken(writer);
      else if (roll < 0.77) await writer.restart();
      else await this.#pass(writer, pick(this.#random, this.writers));
    }
  }

  async #write(
    writer: Replica,
    keys: readonly RecordKey[],
    draft: (pen: Writer, read: (key: RecordKey) => RecordState | undefined) => readonly Draft[],
  ): Promise<void> {
    await writer.ledger.write({ keys, draft });
  }

  #text(): string {
    return `t${Math.floor(this.#random() * 5)}`;
  }

  async #listing(writer: Replica): Promise<void> {
    const own = this.#listings.filter((key) => key.includes(writer.identity.peerId));
    const fresh = own.length === 0 || this.#random() < 0.3;
    const key = fresh
      ? recordKey('listings', writer.identity.peerId, `l${Math.floor(this.#random() * 4)}`)
      : pick(this.#random, own);
    if (!own.includes(key)) this.#listings.push(key);
    await this.#write(writer, [key], (pen, read) => {
      const known = read(key);
      if (known?.tombstone === true) return [];
      const patch: Record<string, string | number | undefined> = {};
      if (known?.exists !== true) Object.assign(patch, { type: 'offer', status: 'active' });
      for (const field of ['title', 'commodity', 'status'])
        if (this.#random() < 0.5) patch[field] = this.#text();
      if (this.#random() < 0.4) patch.price = Math.floor(this.#random() * 6) / 2;
      if (this.#random() < 0.15) patch.title = undefined;
      return [draftEdit(pen, key, 'public', known, patch)];
    });
  }

  async #end(writer: Replica): Promise<void> {
    if (this.#random() < 0.4) return;
    const own = this.#listings.filter((key) => key.includes(writer.identity.peerId));
    if (own.length === 0) return;
    const key = pick(this.#random, own);
    await this.#write(writer, [key], () => [draftTombstone(key, 'public')]);
  }

  #price(pen: Writer): Draft {
    return draftFact(pen, 'prices', {
      date: '2026-01-15',
      market: this.#text(),
      commodity: 'Maize',
      unit: 'KG',
      currency: 'KES',
      price: Math.floor(this.#random() * 4),
      priceType: 'Retail',
    });
  }

  /** A private record of two or three writers; sometimes the third only takes part. */
  async #open(writer: Replica): Promise<void> {
    const self = writer.identity.peerId;
    const others = shuffled(
      this.#random,
      [...new Set(this.writers.map(({ identity }) => identity.peerId))].filter((peer) => peer !== self),
    );
    const collection = this.#random() < 0.5 ? 'contracts' : 'conversations';
    // A contract is between two.
    const writers = [
      self,
      ...others.slice(0, collection === 'contracts' ? 1 : 1 + Math.floor(this.#random() * 2)),
    ];
    let key: RecordKey | undefined;
    await this.#write(writer, [], (pen) => {
      const draft = draftPrivate(
        pen,
        collection,
        { writers, participants: [self, ...others] },
        randomBytes(16),
      );
      key = draft.key;
      return [draft];
    });
    if (key !== undefined) this.#private.push({ key, collection });
  }

  /** By whoever: also by one who is no writer, or who has not seen the creation. */
  async #editPrivate(writer: Replica): Promise<void> {
    if (this.#private.length === 0) return;
    const { key, collection } = pick(this.#random, this.#private);
    await this.#write(writer, [key], (pen, read) => {
      const known = read(key);
      if (known?.tombstone === true) return [];
      if (this.#random() < 0.04 && key.includes(pen.author)) return [draftTombstone(key, key)];
      const patch: Patch =
        collection === 'contracts'
          ? {
              [pick(this.#random, ['title', 'unit', 'terms.000', 'terms.117', 'notes'])]: this.#text(),
              ...(this.#random() < 0.4 ? { quantity: Math.floor(this.#random() * 5) } : {}),
              ...(this.#random() < 0.2 ? { title: undefined } : {}),
            }
          : { title: this.#text(), pinned: this.#random() < 0.5 };
      return [draftEdit(pen, key, key, known, patch)];
    });
  }

  async #message(writer: Replica): Promise<void> {
    if (this.#private.length === 0) return;
    const { key } = pick(this.#random, this.#private);
    await this.#write(writer, [], (pen) => [
      draftFact(
        pen,
        'messages',
        { from: 'u', type: 'text', content: this.#text(), sentAt: Math.floor(this.#random() * 3) },
        key,
      ),
    ]);
  }

  /** Ops that are rejected, each for its own reason, or pending for good; mostly beside a good one. */
  async #broken(writer: Replica): Promise<void> {
    const self = writer.identity.peerId;
    const foreign = this.#listings.find((key) => !key.includes(self));
    await this.#write(writer, [], (pen) => {
      const key = recordKey('listings', self, `l${Math.floor(this.#random() * 4)}`);
      const change = (seq: number, deps: string[], startOp: number): Uint8Array =>
        encodeChange({
          actor: actorOf(pen.author, pen.epoch, key),
          seq,
          startOp,
          time: 0,
          deps,
          ops: [{ action: 'set', field: 'title', value: 'broken', pred: [] }],
        });
      const op = (t: string, d: Uint8Array, k = key.slice('listings/'.length)): Uint8Array =>
        encodeOp({ v: 1, c: 'listings', k, t, d });
      const genesis = genesisOf(COLLECTIONS.listings ?? fail('listings')).hash;
      const bad = pick(this.#random, [
        () => Uint8Array.of(1, 2, 3),
        () => op('create', change(1, [genesis], 2)), // required fields are missing
        () => op('delta', change(9, ['ab'.repeat(32)], 40)), // a dependency nobody has
        () => op('delta', Uint8Array.of(9)),
        () => op('later', new Uint8Array(0)),
        () => encodeOp({ v: 2, c: 'listings', k: 'x', t: 'create', d: new Uint8Array(0) }),
        () => encodeOp({ v: 1, c: 'spaceships', k: 'x', t: 'create', d: new Uint8Array(0) }),
        () => op('tombstone', new Uint8Array(0), (foreign ?? key).slice('listings/'.length)),
        () =>
          encodeOp({
            v: 1,
            c: 'contracts',
            k: `${self}/${'a'.repeat(43)}`,
            t: 'tombstone',
            d: new Uint8Array(0),
          }),
      ])();
      const good = this.#random() < 0.5 ? [this.#price(pen)] : [];
      return [...good, { key, channel: 'public', ops: [bad] }];
    });
  }

  /** Hands some entries on: a stretch of each feed, never with a hole. */
  async #pass(from: Replica, to: Replica): Promise<void> {
    if (from === to) return;
    for (const [feed, entries] of feedsOf([from])) {
      if (this.#random() < 0.4) continue;
      const id = `${feed}>${this.writers.indexOf(to)}`;
      const at = this.#seen.get(id) ?? 0;
      const upTo = at + Math.ceil(this.#random() * (entries.length - at));
      if (upTo > at) accepted(await to.receive(entries.slice(at, upTo)));
      this.#seen.set(id, upTo);
    }
  }
}

function fail(what: string): never {
  throw new TypeError(`no ${what}`);
}

function accepted(results: readonly Received[]): void {
  const bad = results.find(({ kind }) => kind !== 'accept' && kind !== 'known');
  if (bad !== undefined) fail(`acceptance: ${bad.kind} ${bad.code ?? ''}`);
}

/** Delivers everything: in what order and in what groups `random` decides, with repetitions and with gaps that are tried again. */
async function deliver(to: Replica, feeds: Feeds, random: () => number, style: number): Promise<void> {
  if (style === 0) {
    // One feed after the other: what a feed depends on comes very late or very early.
    for (const entries of shuffled(random, [...feeds.values()])) accepted(await to.receive(entries));
    return;
  }
  if (style === 1) {
    const all = shuffled(random, [...feeds.values()]).flat();
    for (const entry of all) accepted(await to.receive([entry]));
    return;
  }
  let rest = shuffled(random, [...feeds.values()].flat());
  while (rest.length > 0) {
    const size = 1 + Math.floor(random() * (style === 2 ? 4 : 60));
    const group = rest.slice(0, size);
    if (random() < 0.3) group.push(pick(random, group));
    const results = await to.receive(group);
    const gaps = group.filter((_, i) => results[i]?.kind === 'gap');
    rest = [...rest.slice(size), ...new Set(gaps)];
    if (random() < 0.03) await to.restart();
  }
}

/** What Automerge itself makes of the counting changes. */
function automergeProblem(
  key: RecordKey,
  changes: readonly Uint8Array[],
  state: RecordState,
): string | undefined {
  const collection = COLLECTIONS[key.slice(0, key.indexOf('/'))];
  if (collection?.kind !== 'document' || changes.length === 0) return undefined;
  let doc = Automerge.init<Record<string, unknown>>();
  try {
    [doc] = Automerge.applyChanges(doc, [genesisOf(collection).bytes, ...changes]);
    const plain = (value: unknown): unknown => (Automerge.isImmutableString(value) ? String(value) : value);
    const view: Record<string, unknown> = {};
    const conflicts: Record<string, unknown> = {};
    for (const field of Object.keys(doc)) {
      if (field === SCHEMA_FIELD) continue;
      view[field] = plain(doc[field]);
      const values = Object.entries(Automerge.getConflicts(doc, field) ?? {});
      if (values.length > 1) conflicts[field] = Object.fromEntries(values.map(([op, v]) => [op, plain(v)]));
    }
    const ours = Object.fromEntries(
      Object.entries(state.conflicts).map(([field, values]) => [
        field,
        Object.fromEntries(values.map(({ op, value }) => [op, value])),
      ]),
    );
    if (!isDeepStrictEqual(view, { ...state.view })) return 'view';
    if (!isDeepStrictEqual(conflicts, ours)) return 'conflicts';
    if (!isDeepStrictEqual([...Automerge.getHeads(doc)].sort(), [...state.heads])) return 'heads';
    return undefined;
  } finally {
    Automerge.free(doc);
  }
}

/** The first difference of two pictures, in a line. */
export function difference(a: Picture, b: Picture): string | undefined {
  for (const part of ['records', 'verdicts', 'digests', 'frontiers'] as const) {
    for (const key of new Set([...Object.keys(a[part]), ...Object.keys(b[part])])) {
      const [one, other] = [a[part][key], b[part][key]].map((v) => JSON.parse(JSON.stringify(v ?? null)));
      if (!isDeepStrictEqual(one, other))
        return `${part} ${key}: ${JSON.stringify(one)} against ${JSON.stringify(other)}`;
    }
  }
  return undefined;
}

/** Compares every record of a replica with the evaluation of everything and with Automerge. Throws at the first difference. */
export async function checkAgainstJudge(replica: Replica): Promise<number> {
  let conflicts = 0;
  for (const key of await replica.keys()) {
    const state = await replica.state(key);
    const ops: PlacedOp[] = await replica.effectiveOps(key);
    const channel = ops[0]?.channel;
    if (state === undefined || channel === undefined) continue;
    const members = channel === 'public' ? undefined : (await replica.state(channel))?.members;
    const evaluation = evaluateWhole(key, ops, members);
    const whole: unknown = JSON.parse(JSON.stringify(evaluation.state));
    if (!isDeepStrictEqual(whole, JSON.parse(JSON.stringify(state))))
      fail(
        `agreement with the full replay on ${key}: ${JSON.stringify(state)} against ${JSON.stringify(whole)}`,
      );
    const problem = automergeProblem(key, evaluation.changes, state);
    if (problem !== undefined) fail(`agreement with Automerge on ${key}: ${problem}`);
    conflicts += Object.keys(state.conflicts).length;
  }
  return conflicts;
}

/** One schedule from one seed. Throws with the first difference. */
async function oneSchedule(seed: number, steps: number, figures: ConvergenceFigures): Promise<void> {
  const random = seededRandom(seed);
  const [a, b, c, observer] = identities(random, 4);
  if (a === undefined || b === undefined || c === undefined || observer === undefined) return;
  const writers: Replica[] = [];
  for (const identity of [a, a, b, c]) writers.push(await Replica.open(identity));
  const observers: Replica[] = [];
  try {
    await new Schedule(random, writers).run(steps);
    const feeds = feedsOf(writers);
    for (let style = 0; style < 4; style++) {
      const fresh = await Replica.open(observer);
      observers.push(fresh);
      await deliver(fresh, feeds, random, style);
    }
    const [reference, ...others] = observers;
    if (reference === undefined) return;
    figures.conflicts += await checkAgainstJudge(reference);
    const picture = await reference.picture();
    for (const writer of writers) await deliver(writer, feeds, random, Math.floor(random() * 4));
    await others[0]?.rebuild();
    for (const [i, each] of [...others, ...writers].entries()) {
      const found = difference(picture, await each.picture());
      if (found !== undefined) fail(`convergence of replica ${i}: ${found}`);
    }
    figures.schedules++;
    figures.epochs += feeds.size;
    figures.entries += [...feeds.values()].flat().length;
    const states = Object.values(picture.records);
    figures.records += states.length;
    figures.messages += states.filter(({ key, exists }) => exists && key.startsWith('messages/')).length;
    figures.pending += states.reduce((sum, { pending }) => sum + pending, 0);
    figures.applied += states.filter(({ exists }) => exists).length;
    figures.rejected += JSON.stringify(picture.verdicts).split('"rejected"').length - 1;
  } finally {
    for (const each of [...writers, ...observers]) await each.close();
  }
}

/** Runs `count` schedules; the seed of a failing one is in the error. */
export async function convergenceCampaign(
  count: number,
  seed: number,
  { steps = 60, onDone = () => undefined }: { steps?: number; onDone?: () => void } = {},
): Promise<ConvergenceFigures> {
  const figures: ConvergenceFigures = {
    schedules: 0,
    entries: 0,
    records: 0,
    applied: 0,
    pending: 0,
    rejected: 0,
    conflicts: 0,
    epochs: 0,
    messages: 0,
  };
  for (let i = 0; i < count; i++) {
    try {
      await oneSchedule(seed + i, steps, figures);
      onDone();
    } catch (error) {
      throw new Error(
        `COUNT=1 SEED=${seed + i} fails: ${error instanceof Error ? error.message : String(error)}`,
        {
          cause: error,
        },
      );
    }
  }
  return figures;
}

if (import.meta.main)
  await runCampaign('convergence', 1000, ({ count, seed, onDone }) =>
    convergenceCampaign(count, seed, { onDone }),
  );
