import { runCampaign } from '../support/campaign.ts';
import { isDeepStrictEqual } from 'node:util';
import * as Automerge from '@automerge/automerge';
import { recordJson } from '../../api/records.ts';
import { startMergeWorker } from '../../daemon/merging/start-merge-worker.ts';
import type { Entry } from '../../protocols/feed/entry.ts';
import { decodeOp, encodeOp } from '../../protocols/feed/op.ts';
import { draftEdit, type Patch } from '../../protocols/ledger/drafts.ts';
import { placedOps } from '../../protocols/ledger/placed-ops.ts';
import { viewJson } from '../../protocols/market/record-fields.ts';
import { decodeChange, encodeChange, type Scalar } from '../../protocols/open-dialog/change.ts';
import { genesisOf, SCHEMA_FIELD } from '../../protocols/open-dialog/genesis.ts';
import { evaluateWhole } from '../support/evaluate-whole.ts';
import type { OpRef, PlacedOp, RecordState } from '../../protocols/open-dialog/record.ts';
import { evaluate, runAll } from '../../protocols/open-dialog/rule.ts';
import { COLLECTIONS } from '../../protocols/open-dialog/schema.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import {
  Hand,
  listingOps,
  openLedger,
  privateRecord,
  type Random,
  randomFrom,
  someIdentity,
  type TestLedger,
} from '../support/forge.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

/**
 * Random concurrent documents on three nodes, which get the same entries in other orders. The written rule says which changes count,
 * and what Automerge's own interface tells of those, read from a document that took them in another order again, is what each node
 * shows: values, losing values and their op ids. One of the nodes never waits for its merges, so that all of them come late.
 */
export interface MergeFigures {
  documents: number;
  changes: number;
  /** Changes that the rule did not take. */
  refused: number;
  /** Fields with more than one value. */
  conflicts: number;
  /** Documents that a node showed unmerged first. */
  late: number;
}

interface Made {
  readonly key: RecordKey;
  /** Of each feed its entries, in order. */
  readonly feeds: readonly (readonly Entry[])[];
}

interface Writer {
  readonly hand: Hand;
  readonly entries: Entry[];
  seen: PlacedOp[];
}

const TIMES = { quickMs: 60_000, patientMs: 60_000, pauseMs: 1_000 };
/** Documents on one set of nodes; then fresh ones. */
const PER_NODES = 250;

const FIELDS = {
  listings: ['title', 'price', 'status', 'notes', 'region'],
  contracts: ['title', 'price', 'status', 'terms.000', 'terms.100'],
  conversations: ['title', 'pinned', 'archived', 'metadata'],
} as const;

export async function mergeCampaign(
  count: number,
  seed: number,
  onDone: (rounds: number) => void = () => undefined,
): Promise<MergeFigures> {
  const figures: MergeFigures = { documents: 0, changes: 0, refused: 0, conflicts: 0, late: 0 };
  for (let from = 0; from < count; from += PER_NODES) {
    const some = Math.min(PER_NODES, count - from);
    await onFreshNodes(seed + from, some, figures);
    onDone(some);
  }
  return figures;
}

async function onFreshNodes(seed: number, count: number, figures: MergeFigures): Promise<void> {
  const random = randomFrom(seed);
  const people = Array.from({ length: 4 }, () => someIdentity(random));
  const dirs = ['one', 'two', 'late'].map((name) => tempDir(`merge-${name}`));
  const nodes: TestLedger[] = [];
  try {
    for (const [i, { path }] of dirs.entries()) {
      const times = { ...TIMES, waitMs: i === 2 ? 1 : 60_000 };
      const node = await openLedger(path, someIdentity(random), Date.now, {
        merging: [startMergeWorker, times],
      });
      for (const { peerId } of people) node.followStates.set(peerId, 'followed');
      nodes.push(node);
    }
    for (let i = 0; i < count; i++) await oneDocument(nodes, people, seed + i, figures);
    const digests = new Set(nodes.map((node) => node.digest()));
    if (digests.size !== 1) throw new Error(`COUNT=${count} SEED=${seed}: the digests differ`);
  } finally {
    for (const node of nodes) await node.close();
    for (const dir of dirs) dir.remove();
  }
}

/** `seed` alone makes the same document again, of other people. */
async function oneDocument(
  nodes: readonly TestLedger[],
  people: readonly Identity[],
  seed: number,
  figures: MergeFigures,
): Promise<void> {
  const random = randomFrom(seed);
  const made = makeDocument(people, random);
  const ops = made.feeds.flat().flatMap(placedOps);
  const { input, verdicts } = runAll(evaluate(made.key, ops, undefined));
  const expected = automergeOf(made.key, random, input?.changes ?? []);
  for (const [i, node] of nodes.entries()) {
    node.verdicts();
    const shown = await deliver(node, made, random, i);
    if (shown.late) figures.late++;
    const problem = differs(shown.state, expected) ?? verdictsDiffer(node, ops, verdicts);
    if (problem !== undefined) throw new Error(`COUNT=1 SEED=${seed}, node ${i}, ${made.key}: ${problem}`);
  }
  figures.documents++;
  figures.changes += ops.length;
  figures.refused += verdicts.filter(({ state }) => state !== 'applied').length;
  figures.conflicts += Object.keys(expected.conflicts).length;
}

function makeDocument(people: readonly Identity[], random: Random): Made {
  const collection = random.pick(['listings', 'contracts', 'conversations'] as const);
  const [owner] = people;
  if (owner === undefined) throw new TypeError('nobody writes');
  const epoch = random.hex(8);
  const isPublic = collection === 'listings';
  const some = isPublic ? [owner, owner, owner] : people.slice(0, collection === 'contracts' ? 2 : 4);
  const id = random.hex(8);
  const members = some.map(({ peerId }) => peerId).sort();
  const created = isPublic
    ? {
        key: `listings/${owner.peerId}/${id}` as RecordKey,
        ops: listingOps({ author: owner.peerId, epoch }, id, undefined, { title: 'Maize', price: 1 }),
      }
    : privateRecord({ author: owner.peerId, epoch }, members, collection);
  const { key } = created;
  const writers = some.map((identity, i): Writer => ({
    hand: new Hand(identity, isPublic && i > 0 ? random.hex(8) : epoch, isPublic ? 'public' : key),
    entries: [],
    seen: [],
  }));
  const first = writers[0]?.hand.next(created.ops);
  if (first === undefined) throw new TypeError('nobody writes');
  writers[0]?.entries.push(first);
  for (const writer of writers) writer.seen.push(...placedOps(first));
  for (let left = 4 + random.int(10); left > 0; left--) {
    const writer = random.pick(writers);
    if (random.int(4) === 0) seeAll(writer, writers);
    const op = opOf(writer, key, FIELDS[collection], random);
    if (op === undefined) continue;
    const entry = writer.hand.next([op]);
    writer.entries.push(entry);
    writer.seen.push(...placedOps(entry));
  }
  return { key, feeds: writers.map(({ entries }) => entries) };
}

function seeAll(writer: Writer, writers: readonly Writer[]): void {
  const all = writers.flatMap(({ entries }) => entries);
  writer.seen = all.flatMap(placedOps);
}

function opOf(
  writer: Writer,
  key: RecordKey,
  fields: readonly string[],
  random: Random,
): Uint8Array | undefined {
  const { state } = evaluateWhole(key, writer.seen, undefined);
  const patch: Record<string, Scalar | undefined> = {};
  for (let left = 1 + random.int(3); left > 0; left--) {
    const field = random.pick(fields);
    const isRequired = field === 'status' && key.startsWith('listings/');
    patch[field] = !isRequired && random.int(6) === 0 ? undefined : valueOf(field, random);
  }
  const channel = key.startsWith('listings/') ? 'public' : key;
  const [op] = draftEdit(writer.hand.pen, key, channel, state, patch satisfies Patch).ops;
  return op !== undefined && random.int(8) === 0 ? falseOp(op, random) : op;
}

function valueOf(field: string, random: Random): Scalar {
  if (field === 'price') return random.pick([random.int(1000) / 8, random.int(1000), 2 ** 53 - 1]);
  if (field === 'pinned' || field === 'archived') return random.int(2) === 0;
  return random.pick(['', 'Mahindi', 'Maïs \u{1f33d}', random.hex(6)]);
}

/** Canonical and signed, and against the rule: what depends on it waits for good. */
function falseOp(bytes: Uint8Array, random: Random): Uint8Array {
  const op = decodeOp(bytes);
  if (op === undefined) throw new TypeError('no op');
  const change = decodeChange(op.d);
  const wrong = random.pick([
    { ...change, seq: change.seq + 1 },
    { ...change, startOp: change.startOp + 1 },
    { ...change, deps: [random.hex(32)] },
  ]);
  return encodeOp({ ...op, d: encodeChange(wrong) });
}

/** Hands a node all entries: each feed in order, as transport does, the feeds mixed at random; some come twice. */
async function deliver(
  node: TestLedger,
  { key, feeds }: Made,
  random: Random,
  style: number,
): Promise<{ state: RecordState | undefined; late: boolean }> {
  const left = feeds.map((entries) => [...entries]);
  for (;;) {
    const open = left.filter((entries) => entries.length > 0);
    if (open.length === 0) break;
    const one = style === 1 ? open.at(-1) : random.pick(open);
    const some = one?.splice(0, 1 + random.int(4)) ?? [];
    for (const entries of random.int(5) === 0 ? [some, some] : [some])
      for (const { kind, code } of await node.ledger.receive(entries.map(({ bytes }) => bytes)))
        if (kind !== 'accept' && kind !== 'known') throw new Error(`an entry was not taken: ${kind} ${code}`);
  }
  const read = async (): Promise<RecordState | undefined> => (await node.store.records([key]))[0];
  const late = (await read())?.unmerged !== undefined;
  await waitFor('the merge', async () => (await read())?.unmerged === undefined, 60_000);
  return { state: await read(), late };
}

interface Expected {
  readonly view: Record<string, Scalar>;
  readonly conflicts: Record<string, Record<string, Scalar>>;
}

/** What Automerge itself tells of these changes, applied one by one in another order, by its own reading of documents. */
function automergeOf(key: RecordKey, random: Random, changes: readonly Uint8Array[]): Expected {
  const expected: Expected = { view: {}, conflicts: {} };
  const collection = COLLECTIONS[key.slice(0, key.indexOf('/'))];
  if (collection === undefined || changes.length === 0) return expected;
  let doc = Automerge.init<Record<string, unknown>>();
  try {
    const mixed = changes
      .map((change) => ({ change, place: random.int(1000) }))
      .sort((a, b) => a.place - b.place);
    for (const bytes of [...mixed.map(({ change }) => change), genesisOf(collection).bytes])
      [doc] = Automerge.applyChanges(doc, [bytes]);
    for (const field of Object.keys(doc)) {
      if (field === SCHEMA_FIELD) continue;
      expected.view[field] = plain(doc[field]);
      const values = Object.entries(Automerge.getConflicts(doc, field) ?? {});
      if (values.length > 1)
        expected.conflicts[field] = Object.fromEntries(values.map(([op, value]) => [op, plain(value)]));
    }
    return expected;
  } finally {
    Automerge.free(doc);
  }
}

function plain(value: unknown): Scalar {
  if (Automerge.isImmutableString(value)) return String(value);
  if (typeof value === 'bigint') return Number(value);
  const isScalar = ['string', 'number', 'boolean'].includes(typeof value) || value === null;
  if (isScalar) return value as Scalar; // as just looked at
  throw new TypeError(`no scalar: ${typeof value}`);
}

/** What the API shows, against Automerge's. */
function differs(state: RecordState | undefined, expected: Expected): string | undefined {
  if (state === undefined) return 'nothing is held';
  const json: Record<string, unknown> = { ...recordJson(state) };
  const shown = json['conflicts'] as ReturnType<typeof recordJson>['conflicts'];
  for (const own of ['id', 'owner', 'createdAt', 'updatedAt', 'conflicts']) delete json[own];
  const wanted = { ...viewJson(expected.view) };
  if (!isDeepStrictEqual(json, wanted))
    return `fields ${JSON.stringify(json)}, Automerge's ${JSON.stringify(wanted)}`;
  const conflicts = Object.fromEntries(
    Object.entries(shown ?? {}).map(([field, values]) => [
      field,
      Object.fromEntries(values.map(({ op, value }) => [op, value])),
    ]),
  );
  if (!isDeepStrictEqual(conflicts, expected.conflicts))
    return `conflicts ${JSON.stringify(conflicts)}, Automerge's ${JSON.stringify(expected.conflicts)}`;
  for (const [field, [winner]] of Object.entries(shown ?? {}))
    if (winner?.value !== expected.view[field]) return `${field}: the winner does not stand first`;
  return undefined;
}

/** The last verdict that the node has given on each op, against the rule's on all at once. */
function verdictsDiffer(
  node: TestLedger,
  ops: readonly PlacedOp[],
  verdicts: ReturnType<typeof evaluateWhole>['verdicts'],
): string | undefined {
  const id = ({ author, epoch, seq, index }: OpRef): string => `${author} ${epoch} ${seq} ${index}`;
  const given = new Map(node.verdicts().map(({ ref, verdict }) => [id(ref), verdict]));
  for (const [i, op] of ops.entries())
    if (!isDeepStrictEqual(given.get(id(op)), verdicts[i]))
      return `op ${id(op)}: ${JSON.stringify(given.get(id(op)))}, the rule ${JSON.stringify(verdicts[i])}`;
  return undefined;
}

if (import.meta.main)
  await runCampaign('merge', 10_000, ({ count, seed, onDone }) => mergeCampaign(count, seed, onDone));
