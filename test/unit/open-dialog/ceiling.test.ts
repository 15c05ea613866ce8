import { describe, expect, it, test } from 'vitest';
import { collectionNamed, draftEdit, draftPrivate } from '../../../protocols/ledger/drafts.ts';
import type { Change } from '../../../protocols/open-dialog/change.ts';
import { applyFast, emptyState } from '../../../protocols/open-dialog/fast-path.ts';
import { HOT, hotValues } from '../../../protocols/open-dialog/hot.ts';
import { evaluateWhole } from '../../support/evaluate-whole.ts';
import { actorOf } from '../../../protocols/open-dialog/read-op.ts';
import {
  type FieldValue,
  openState,
  type OpenState,
  type PlacedOp,
} from '../../../protocols/open-dialog/record.ts';
import { COLLECTIONS, type Collection, type FieldRule } from '../../../protocols/open-dialog/schema.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
const OP = `2147483647@${'f'.repeat(32)}`;
/** No code unit takes more room in JSON than a control character: six bytes. */
const text = (length: number): string => '\u0001'.repeat(length);
const namesOf = ({ fields, family }: Collection): [string, FieldRule][] => [
  ...Object.entries(fields),
  ...[...(family?.names ?? [])].map((name): [string, FieldRule] => [
    name,
    family?.rule ?? { type: 'boolean' },
  ]),
];

/** The values of one field that take most room: the winner and a first loser of full length, and behind it what the bound lets in. */
function largestValues(rule: FieldRule): FieldValue[] {
  const of = (value: FieldValue['value']): FieldValue => ({ value, op: OP });
  if (rule.type === 'boolean') return Array.from({ length: HOT.values }, () => of(false));
  if (rule.type === 'number') return Array.from({ length: HOT.values }, () => of(-1.2345678901234567e-308));
  const values = [of(text(rule.max)), of(text(rule.max))];
  for (let left = HOT.lostText - rule.max; values.length < HOT.values; left -= rule.max)
    values.push(of(text(Math.max(0, Math.min(left, rule.max)))));
  return values.slice(0, hotValues(values));
}

/** Bytes of the largest state that a record of this collection can have. */
function ceilingOf(collection: Collection): number {
  const fields = namesOf(collection).map(([name, rule]) => [name, largestValues(rule)] as const);
  const owner = nodeOf(1).peerId;
  const everybody = Array.from({ length: 16 }, (_, i) => nodeOf(i + 1).peerId).sort();
  const hash = 'f'.repeat(64);
  const actors = Array.from({ length: HOT.actors }, (_, i) => String(i).padStart(32, 'f'));
  return bytesOf({
    ...emptyState(
      recordKey(collection.name, owner, 'x'.repeat(64)),
      collection,
      recordKey(collection.name, owner, 'x'.repeat(64)),
    ),
    heads: Array.from({ length: HOT.heads }, () => hash),
    view: Object.fromEntries(fields.map(([name, [winner]]) => [name, winner?.value])),
    fieldOps: Object.fromEntries(fields.map(([name, values]) => [name, values.map(({ op }) => op)])),
    conflicts: Object.fromEntries(fields),
    seqs: Object.fromEntries(actors.map((actor) => [actor, [65_536, 2 ** 31 - 1]])),
    maxOp: 2 ** 31 - 1,
    created: [Number.MAX_SAFE_INTEGER, 2 ** 32 - 1],
    updated: [Number.MAX_SAFE_INTEGER, 2 ** 32 - 1],
    pending: Number.MAX_SAFE_INTEGER,
    ops: Number.MAX_SAFE_INTEGER,
    members: { owner, writers: everybody, participants: everybody, nonce: 'f'.repeat(32) },
    rest: {
      heads: { count: Number.MAX_SAFE_INTEGER, hash },
      actors: Number.MAX_SAFE_INTEGER,
      values: Object.fromEntries(fields.map(([name]) => [name, Number.MAX_SAFE_INTEGER])),
    },
    unmerged: 'in-progress',
  });
}

const documents = Object.values(COLLECTIONS).filter(({ kind }) => kind === 'document');

test.each([
  ['listings', 800_000],
  ['contracts', 2_200_000],
  ['nodes', 2_300_000],
  ['conversations', 1_000_000],
])('a record of %s takes at most %i bytes, whoever writes to it at the same time', (name, most) => {
  const ceiling = ceilingOf(collectionNamed(name));
  console.info(`${name}: ${ceiling} bytes`);
  expect(ceiling).toBeLessThan(most);
  expect(ceiling).toBeGreaterThan(most * 0.8);
});

it('the table above has every collection of documents', () => {
  expect(documents.map(({ name }) => name)).toEqual(['listings', 'contracts', 'nodes', 'conversations']);
});

it('forty epochs of both parties that fill every field of a contract do not move it', () => {
  const writers = [1, 2].map((n) => nodeOf(n).peerId).sort();
  const [owner = nodeOf(1).peerId] = writers;
  const created = draftPrivate(
    { author: owner },
    'contracts',
    { writers, participants: writers },
    new Uint8Array(16),
  );
  const { key, channel } = created;
  const place = { channel, index: 0, time: [1, 0] as const };
  const ops: PlacedOp[] = created.ops.map((bytes) => ({
    ...place,
    author: owner,
    epoch: 'ff'.repeat(8),
    seq: 1,
    bytes,
  }));
  const contracts = collectionNamed('contracts');
  const halves = [...(contracts.family?.names ?? [])].map((name) => [name, 'x'.repeat(600)] as const);
  for (let i = 0; i < 40; i++) {
    const pen = { author: writers[i % 2] ?? owner, epoch: i.toString(16).padStart(16, '0') };
    const blank = { ...evaluateWhole(key, ops.slice(0, 1), undefined).state };
    const patch = { ...Object.fromEntries(halves), title: `by ${i}`, notes: 'n'.repeat(8192) };
    for (const bytes of draftEdit(pen, key, channel, blank, patch).ops)
      ops.push({ ...place, ...pen, seq: 1, bytes });
  }
  const { state } = evaluateWhole(key, ops, undefined);
  expect(state.rest).toMatchObject({ heads: { count: 32 }, actors: 24, values: { title: 32 } });
  expect(Object.values(state.conflicts).every((values) => values.length <= HOT.values)).toBe(true);
  expect(state.conflicts['notes']).toHaveLength(2);
  expect(bytesOf(state)).toBeLessThan(ceilingOf(contracts) / 4);
});

describe('what an op costs', () => {
  const author = nodeOf(1).peerId;
  const contracts = collectionNamed('contracts');
  const key = recordKey('contracts', author, 'flat');
  const epoch = '00'.repeat(8);
  const placed: PlacedOp = {
    author,
    channel: 'public',
    epoch,
    seq: 1,
    index: 0,
    time: [1, 0],
    bytes: new Uint8Array(),
  };
  const COUNT = 1000;
  /** A thousand changes of one field, each following the one before. */
  function changes(state: OpenState): (Change & { hash: string })[] {
    const actor = actorOf(author, epoch, key);
    const start = state.maxOp + 1;
    const first = state.seqs[actor]?.[0] ?? 0;
    let pred = state.fieldOps['title'] ?? [];
    let deps = state.heads;
    return Array.from({ length: COUNT }, (_, i) => {
      const ids = pred.map((id) => ({ counter: Number(id.split('@')[0]), actor }));
      const op = { action: 'set' as const, field: 'title', value: `t${i}`, pred: ids };
      const change = {
        actor,
        seq: first + i + 1,
        startOp: start + i,
        time: 0,
        deps,
        ops: [op],
        hash: sha256Hex(`${i}`),
      };
      pred = [`${start + i}@${actor}`];
      deps = [change.hash];
      return change;
    });
  }
  /** Microseconds of CPU of this thread for the changes `from` to `to`, over enough records to be measured. */
  function cost(filled: boolean, from: number, to: number): number {
    const empty = emptyState(key, contracts, 'public');
    const given = openState(empty);
    if (filled)
      for (const [i, [name]] of namesOf(contracts).entries()) {
        given.view[name] = 'x'.repeat(200);
        given.fieldOps[name] = [`${i + 2}@${actorOf(author, epoch, key)}`];
        given.maxOp = i + 2;
      }
    const all = changes(given);
    let spent = 0;
    for (let round = 0; round < 60; round++) {
      const state = openState(given);
      const take = (change: (typeof all)[number]): unknown =>
        applyFast(
          state,
          { key, collection: contracts, reading: { kind: 'change', change, creates: false } },
          placed,
          undefined,
        );
      for (const change of all.slice(0, from)) take(change);
      const before = process.threadCpuUsage();
      for (const change of all.slice(from, to)) if (take(change) === undefined) throw new Error('declined');
      const { user, system } = process.threadCpuUsage(before);
      spent += user + system;
    }
    return spent;
  }

  it('is the same at the first and at the thousandth op, in an empty record and in a full one', () => {
    cost(false, 0, COUNT); // compiled
    const ratio = (a: () => number, b: () => number): number =>
      Math.min(...Array.from({ length: 5 }, () => a() / Math.max(1, b())));
    const late = ratio(
      () => cost(false, 800, 1000),
      () => cost(false, 0, 200),
    );
    const full = ratio(
      () => cost(true, 0, 500),
      () => cost(false, 0, 500),
    );
    console.info(
      `late ops cost ${late.toFixed(2)} times as much, ops on a full record ${full.toFixed(2)} times`,
    );
    expect(late).toBeLessThan(2);
    expect(full).toBeLessThan(3);
  });
});
