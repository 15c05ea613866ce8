import * as Automerge from '@automerge/automerge';
import { draftEdit } from '../../protocols/ledger/drafts.ts';
import { placedOps } from '../../protocols/ledger/placed-ops.ts';
import type { Entry } from '../../protocols/feed/entry.ts';
import { decodeOp, encodeOp } from '../../protocols/feed/op.ts';
import { type Change, decodeChange, encodeChange, type FieldOp } from '../../protocols/open-dialog/change.ts';
import { genesisOf, SCHEMA_FIELD } from '../../protocols/open-dialog/genesis.ts';
import { evaluateWhole, type WholeEvaluation } from '../support/evaluate-whole.ts';
import type { PlacedOp, RecordState } from '../../protocols/open-dialog/record.ts';
import { COLLECTIONS } from '../../protocols/open-dialog/schema.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import { Hand, privateRecord, type Random, type TestLedger } from '../support/forge.ts';
import { bomb, resealed } from './mutate.ts';

const FIELDS = ['title', 'notes', 'status', 'price', 'terms.000', 'terms.031', 'terms.100'] as const;

/** A writer of one document: what it has signed, and what it has seen. */
interface Writer {
  readonly hand: Hand;
  readonly entries: Entry[];
  seen: PlacedOp[];
}

/**
 * One document in a private channel with two writers, who write at the same time, each change correctly signed and about half of
 * them mutated. What the ledger makes of it must be what Automerge makes of the counting changes, and the document must save and
 * load. Answers how many changes there were, how many counted, and what is wrong.
 */
export async function history(
  test: TestLedger,
  [one, other]: readonly [Identity, Identity],
  length: number,
  random: Random,
): Promise<{ changes: number; counting: number; faults: string[] }> {
  const epoch = random.hex(8);
  const members = [one.peerId, other.peerId].sort();
  const { key, ops } = privateRecord({ author: one.peerId, epoch }, members, 'contracts');
  const writers = [one, other].map((identity): Writer => ({
    hand: new Hand(identity, epoch, key),
    entries: [],
    seen: [],
  }));
  const [owner] = writers;
  if (owner === undefined) throw new Error('no writers');
  const created = owner.hand.next(ops);
  owner.entries.push(created);
  for (const writer of writers) writer.seen.push(...placedOps(created));

  for (let i = 0; i < length; i++) {
    const writer = random.pick(writers);
    if (random.int(3) === 0) for (const { entries } of writers) see(writer, entries);
    const entry = writer.hand.next([
      random.int(2) === 0 ? honestOp(writer, key, random) : mutantOp(writer, key, random),
    ]);
    writer.entries.push(entry);
    see(writer, [entry]);
  }
  const faults = await deliver(test, writers, random);
  const all = writers.flatMap(({ entries }) => entries).flatMap(placedOps);
  const evaluation = evaluateWhole(key, all, undefined);
  const [state] = await test.store.records([key]);
  faults.push(...compare(key, evaluation, state));
  return {
    changes: length,
    counting: evaluation.changes.length,
    faults: faults.map((fault) => `${key}: ${fault}`),
  };
}

function see(writer: Writer, entries: readonly Entry[]): void {
  const known = new Set(writer.seen.map((op) => `${op.author}/${op.seq}`));
  for (const op of entries.flatMap(placedOps)) if (!known.has(`${op.author}/${op.seq}`)) writer.seen.push(op);
}

const valueFor = (field: string, random: Random): string | number =>
  field === 'price' ? random.int(1000) / 8 : random.hex(1 + random.int(8));

function honestOp(writer: Writer, key: RecordKey, random: Random): Uint8Array {
  const { state } = evaluateWhole(key, writer.seen, undefined);
  const patch = Object.fromEntries(
    Array.from({ length: 1 + random.int(2) }, () => {
      const field = random.pick(FIELDS);
      return [
        field,
        state.view[field] !== undefined && random.int(5) === 0 ? undefined : valueFor(field, random),
      ];
    }),
  );
  const [op] = draftEdit(writer.hand.pen, key, key, state, patch).ops;
  return op ?? honestOp(writer, key, random);
}

/** An honest op, changed: in its fields and encoded again, in its bytes with the checksum put right, or a bomb. */
function mutantOp(writer: Writer, key: RecordKey, random: Random): Uint8Array {
  const op = decodeOp(honestOp(writer, key, random));
  if (op === undefined) throw new Error('no op');
  const { state } = evaluateWhole(key, writer.seen, undefined);
  let d = op.d;
  if (random.int(20) === 0) d = bomb(decodeChange(d).actor, state.heads);
  else if (random.int(3) === 0) {
    d = d.slice();
    for (let times = 1 + random.int(3); times > 0; times--) d[9 + random.int(d.length - 9)] = random.int(256);
    d = resealed(d);
  } else {
    try {
      d = encodeChange(mutatedChange(decodeChange(d), state, writer.seen, random));
    } catch {
      d = resealed(d.slice(0, d.length - 1)); // what has no encoding at all
    }
  }
  return encodeOp({ ...op, d });
}

function mutatedChange(
  change: Change,
  state: RecordState,
  seen: readonly PlacedOp[],
  random: Random,
): Change {
  const near = (n: number): number => random.pick([n - 1, n + 1, n + 2, 1, 2 ** 31 - 2]);
  const opIds = Object.values(state.fieldOps).flat();
  const hashes = seen.flatMap(({ bytes }) => {
    try {
      return [decodeChange(decodeOp(bytes)?.d ?? bytes).hash];
    } catch {
      return []; // a mutant of before
    }
  });
  const id = (): FieldOp['pred'][number] => {
    const [counter = '2', actor = change.actor] = (opIds.length > 0 ? random.pick(opIds) : '').split('@');
    return { counter: Number(counter) || 2, actor: actor === '' ? change.actor : actor };
  };
  const ops = change.ops.map((op, i) => (i > 0 && random.int(2) === 0 ? op : mutatedFieldOp(op, id, random)));
  switch (random.int(8)) {
    case 0:
      return { ...change, seq: near(change.seq) };
    case 1:
      return { ...change, startOp: near(change.startOp) };
    case 2:
      return { ...change, deps: change.deps.slice(1) };
    case 3:
      return { ...change, deps: [...new Set([...change.deps, random.pick([...hashes, random.hex(32)])])] };
    case 4:
      return { ...change, actor: id().actor };
    case 5:
      return { ...change, ops: [...change.ops, ...ops] };
    default:
      return { ...change, ops };
  }
}

function mutatedFieldOp(op: FieldOp, id: () => FieldOp['pred'][number], random: Random): FieldOp {
  switch (random.int(5)) {
    case 0:
      return { ...op, pred: [id()] };
    case 1:
      return { ...op, pred: [] };
    case 2:
      return {
        ...op,
        field: random.pick([...FIELDS, SCHEMA_FIELD, '__proto__', 'terms.', 'terms.032', 'terms.200', '']),
      };
    case 3:
      return { action: 'del', field: op.field, pred: op.pred };
    default:
      return op.action === 'set'
        ? { ...op, value: random.pick([null, true, 2 ** 53 - 1, 'x'.repeat(9000), '\ufeff']) }
        : op;
  }
}

/** Hands the entries of both writers to the ledger, interleaved at random, some of them before what they need. */
async function deliver(test: TestLedger, writers: readonly Writer[], random: Random): Promise<string[]> {
  const left = writers.map(({ entries }) => [...entries]);
  const faults: string[] = [];
  for (;;) {
    const open = left.filter((list) => list.length > 0);
    if (open.length === 0) return faults;
    const batch = random.pick(open).splice(0, 1 + random.int(4));
    const results = await test.ledger.receive(batch.map(({ bytes }) => bytes));
    for (const { kind, code } of results)
      if (kind !== 'accept') faults.push(`an entry was not taken: ${kind} ${code ?? ''}`);
  }
}

/** The state the ledger holds, the rule's view of all ops, and Automerge's own merge of what counts: all three must agree. */
function compare(
  key: RecordKey,
  { state, changes }: WholeEvaluation,
  held: RecordState | undefined,
): string[] {
  if (held === undefined) return ['the ledger holds nothing'];
  const faults: string[] = [];
  const same = (what: string, a: unknown, b: unknown): void => {
    if (JSON.stringify(a) !== JSON.stringify(b))
      faults.push(`${what}: ${JSON.stringify(a)} is not ${JSON.stringify(b)}`);
  };
  same('heads held', held.heads, state.heads);
  same('view held', sorted(held.view), sorted(state.view));
  same('conflicts held', sorted(held.conflicts), sorted(state.conflicts));
  const collection = COLLECTIONS[key.slice(0, key.indexOf('/'))];
  if (collection === undefined) return ['no such collection'];
  for (const order of [changes, [...changes].reverse()]) {
    let doc = Automerge.init<Record<string, unknown>>();
    try {
      [doc] = Automerge.applyChanges(doc, [genesisOf(collection).bytes, ...order]);
      const again = Automerge.load<Record<string, unknown>>(Automerge.save(doc));
      if (changes.length > 0) same('heads merged', Automerge.getHeads(again).sort(), state.heads);
      const view = Object.fromEntries<unknown>(
        Object.entries(again).map(([f, v]) => [
          f,
          Automerge.isImmutableString(v) ? String(v) : typeof v === 'bigint' ? Number(v) : v,
        ]),
      );
      delete view[SCHEMA_FIELD];
      same('view merged', sorted(view), sorted(state.view));
      Automerge.free(again);
    } catch (error) {
      faults.push(`a damaged document: ${String(error)}`);
    } finally {
      Automerge.free(doc);
    }
  }
  return faults;
}

function sorted(map: object): [string, unknown][] {
  return (Object.entries(map) as [string, unknown][]).sort(([a], [b]) => (a < b ? -1 : 1));
}
