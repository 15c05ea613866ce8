import { draftEdit, draftFact, draftPrivate, type Writer } from '../../protocols/ledger/drafts.ts';
import { bindingNonce } from '../../protocols/market/contract-book/binding.ts';
import { signTransition } from '../../protocols/market/contract/statement.ts';
import { COLLECTIONS, type Collection, type FieldRule } from '../../protocols/open-dialog/schema.ts';
import { base64url } from '../../protocols/wire/bytes.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { recordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import { Hand, NET, privateRecord, type Random, someIdentity } from '../support/forge.ts';
import { deal } from '../support/terms.ts';

/** Times that a header may have, milliseconds: the smallest, the largest, and both sides of what dates and keys hold. */
export const TIMES = [0, 1, 2 ** 48 - 1, 2 ** 48, 8.64e15 - 1, 8.64e15, 8.64e15 + 1, 2 ** 53 - 1] as const;

/** What stands in a text of a collection's rule at its limits, or is something else to who reads it. */
function texts(max: number): string[] {
  const nested = (open: string, inner: string, close: string): string => {
    const depth = Math.floor((max - inner.length) / (open.length + close.length));
    return open.repeat(Math.max(0, depth)) + inner + close.repeat(Math.max(0, depth));
  };
  return [
    'x'.repeat(max),
    '😀'.repeat(Math.floor(max / 2)),
    nested('[', '', ']'),
    nested('{"a":', '0', '}'),
    '',
    '__proto__',
    'constructor',
    'toString',
    'NaN',
    '-1e999',
    '\0',
    '\n',
    '"',
    '%',
    '@',
    '.',
    '/',
    '\u202e',
    '\u2028',
    '<script>',
    '{}',
    '[]',
    'null',
    '[1',
    '+275760-09-13T00:00:00.001Z',
    '9999-99-99',
  ].filter((text) => text.length <= max);
}

/** Texts that fit the patterns there are, none of them what their fields are for. */
const PATTERNED = [
  '0000-00-00',
  '9999-99-99',
  '2026-02-30',
  '999.999999',
  '-999.9',
  '-0.0',
  '0'.repeat(64),
  'f'.repeat(64),
  'A',
  '-.-',
  '-'.repeat(22),
  '_'.repeat(22),
  'A.B',
  '_'.repeat(24_000),
  '.'.repeat(4000),
];

/** Values of one field that the validity rules let through. */
function extremes(rule: FieldRule): (string | number | boolean)[] {
  switch (rule.type) {
    case 'boolean':
      return [true, false];
    case 'number': {
      const { min = -Number.MAX_VALUE, max = Number.MAX_VALUE } = rule;
      const all = [
        min,
        max,
        0,

        5e-324,
        2 ** 53 - 1,
        -(2 ** 53) + 1,
        8.64e15,
        8.64e15 + 1,
        1e21,
        0.1 + 0.2,
        -1,
      ];
      return all.filter((value) => value >= min && value <= max);
    }
    case 'string': {
      const { max, pattern, oneOf } = rule;
      if (oneOf !== undefined) return [...oneOf];
      if (pattern === undefined) return texts(max);
      return PATTERNED.filter((text) => text.length <= max && pattern.test(text));
    }
  }
}

function fieldsOf(collection: Collection): [string, (string | number | boolean)[]][] {
  const { fields, family } = collection;
  const more =
    family === undefined ? [] : [...family.names].slice(0, 2).map((name) => [name, family.rule] as const);
  return [...Object.entries(fields), ...more].map(([name, rule]) => [name, extremes(rule)]);
}

/** As many records as the field with the most values has values: each holds one of every field. */
export function extremeRecords(collection: Collection): Record<string, string | number | boolean>[] {
  const fields = fieldsOf(collection);
  const count = Math.max(...fields.map(([, values]) => values.length));
  return Array.from({ length: count }, (_, i) => {
    const record: Record<string, string | number | boolean> = {};
    let bytes = 0;
    for (const [at, [name, values]] of fields.entries()) {
      // The longest of one field beside short ones of others: all of them together are too long for one op.
      const value = values[(i + at) % values.length];
      const length = Buffer.byteLength(String(value ?? ''));
      const isLong = bytes + length > MOST_BYTES;
      const short = values.find((each) => typeof each !== 'string' || each.length <= 64);
      const chosen = isLong && short !== undefined ? short : value;
      if (chosen === undefined) continue;
      record[name] = chosen;
      bytes += Buffer.byteLength(String(chosen));
    }
    return record;
  });
}

/** Texts of one record together. */
const MOST_BYTES = 26_000;

/** Entries of somebody who signs what he likes, and the records that they make. */
export interface Extremes {
  readonly peer: PeerId;
  readonly entries: readonly Uint8Array[];
  readonly keys: readonly RecordKey[];
}

/** Every value of every field of every collection at its limits, under every time, with fields in conflict; for the node `host`. */
export function extremesFor(random: Random, host: PeerId): Extremes {
  const identity = someIdentity(random);
  const entries: Uint8Array[] = [];
  const keys: RecordKey[] = [];
  let next = 0;
  const time = (): readonly [number, number] => [
    TIMES[next++ % TIMES.length] ?? 0,
    next % 2 === 0 ? 0 : 0xffff_ffff,
  ];
  const add = (hand: Hand, ops: readonly Uint8Array[]): void => {
    const entry = hand.sign(ops, { time: time() });
    hand.seq = entry.header.seq;
    hand.hash = entry.hash;
    entries.push(entry.bytes);
  };
  const epoch = random.hex(8);
  const open = (hand: Hand, other: Hand, collection: Collection, channel: RecordKey | 'public'): void => {
    for (const [i, fields] of extremeRecords(collection).entries()) {
      const pen: Writer = hand.pen;
      if (collection.kind === 'fact') {
        const draft = draftFact(pen, collection.name, { ...fields }, channel);
        keys.push(draft.key);
        add(hand, draft.ops);
        continue;
      }
      if (channel !== 'public') return;
      const key = recordKey(
        collection.name,
        identity.peerId,
        collection.name === 'nodes' ? 'profile' : `e${i}`,
      );
      keys.push(key);
      add(hand, draftEdit(pen, key, channel, undefined, fields).ops);
      // Another process of the same author, which knows nothing of it: every field is in conflict.
      if (i < 4)
        add(
          other,
          draftEdit(other.pen, key, channel, undefined, { ...fields, ...swapped(collection, i) }).ops,
        );
      if (collection.name === 'nodes') return;
    }
  };
  const place = [identity.peerId, host].toSorted().indexOf(identity.peerId);
  const hand = new Hand(identity, epoch);
  const other = new Hand(identity, random.hex(8));
  const collections = Object.values(COLLECTIONS);
  for (const collection of collections)
    if (collection.channels !== 'private') open(hand, other, collection, 'public');
  for (const name of ['conversations', 'contracts']) {
    const collection = COLLECTIONS[name];
    if (collection === undefined) continue;
    for (const fields of extremeRecords(collection)) {
      const { key, ops } = privateRecord(hand.pen, [identity.peerId, host], name);
      const inside = new Hand(identity, random.hex(8), key);
      const own = Object.fromEntries(
        Object.entries(fields).filter(([field]) => !field.startsWith('read.') || field === `read.${place}`),
      );
      add(inside, [...ops, ...draftEdit(inside.pen, key, key, undefined, own).ops]);
      keys.push(key);
    }
    const { key, ops } = privateRecord(hand.pen, [identity.peerId, host], name);
    const inside = new Hand(identity, random.hex(8), key);
    add(inside, ops);
    keys.push(key);
    const facts = name === 'conversations' ? ['messages'] : ['transitions', 'pings', 'rating-reasons'];
    for (const each of collections) if (facts.includes(each.name)) open(inside, inside, each, key);
  }
  for (const each of TIMES) {
    const { key, inside, opened, statement } = signedContract(hand, host, random, each);
    add(inside, opened);
    add(inside, draftFact(inside.pen, 'transitions', { statement }, key).ops);
    keys.push(key);
  }
  return { peer: identity.peerId, entries, keys };
}

/** A contract with a user of the host, proposed at that time and until then. */
function signedContract(hand: Hand, host: PeerId, random: Random, at: number) {
  const { identity } = hand;
  const buyer = `amina@${host}`;
  const supplier = `s${random.hex(4)}@${identity.peerId}`;
  const members = { writers: [identity.peerId, host], participants: [identity.peerId, host] };
  const nonce = bindingNonce({ buyer, supplier, listing: '' }, random.bytes(16));
  const { key, ops } = draftPrivate(hand.pen, 'contracts', members, nonce);
  const inside = new Hand(identity, random.hex(8), key);
  const edit = draftEdit(inside.pen, key, key, undefined, {
    buyerId: buyer,
    supplierId: supplier,
    title: 'at a time',
  });
  const terms = { ...deal(1), buyerId: buyer, supplierId: supplier, price: Number.MAX_VALUE };
  const told = { net: NET, contract: key, party: supplier, before: [], at, validUntil: at } as const;
  const bytes = signTransition(identity, { ...told, kind: 'propose', terms, heads: [] });
  return { key, inside, opened: [...ops, ...edit.ops], statement: base64url(bytes) };
}

/** Other values of the same record. */
function swapped(collection: Collection, i: number): Record<string, string | number | boolean> {
  return extremeRecords(collection).at(-1 - i) ?? {};
}
