import { opVerdict } from '../../support/vectors/words.ts';
import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import { verifyForkProof } from '../../../protocols/feed/fork.ts';
import {
  commonCoverage,
  coverageText,
  notCompared,
  readCoverageText,
} from '../../../protocols/digest/coverage.ts';
import { digestElement } from '../../../protocols/digest/element.ts';
import { bodyMatches, decodeEntry } from '../../../protocols/feed/entry.ts';
import { decodeHeader, ENTRY_ENVELOPE, headerHash } from '../../../protocols/feed/header.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { decodeFrontier } from '../../../protocols/mycelium/frontier-page.ts';
import { decodeChange } from '../../../protocols/open-dialog/change.ts';
import { evaluateWhole } from '../../support/evaluate-whole.ts';
import type { Floor } from '../../../protocols/open-dialog/floor.ts';
import type { PlacedOp, Verdict } from '../../../protocols/open-dialog/record.ts';
import { evaluate, runAll } from '../../../protocols/open-dialog/rule.ts';
import { fromHex, hex } from '../../../protocols/wire/bytes.ts';
import { decodeCbor, encodeCbor, type Cbor } from '../../../protocols/wire/cbor.ts';
import { readEnvelope, signatureHolds } from '../../../protocols/wire/envelope.ts';
import { identityFromSeed, parsePeerId, verifySignature } from '../../../protocols/wire/identity.ts';
import { parseRecordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import { cborVectors, headerVectors, identityVectors, keyVectors } from '../../support/vectors/wire.ts';
import { refusedChangeVectors } from '../../support/vectors/documents.ts';
import { vectorsText } from '../../support/vectors/all.ts';

const file = new URL('../../../protocols/vectors.json', import.meta.url);
const text = readFileSync(file, 'utf8');

interface Vectors {
  readonly signatures: {
    name: string;
    publicKey: string;
    message: string;
    signature: string;
    holds: boolean;
  }[];
  readonly envelopes: { refused: { name: string; envelope: string }[] };
  readonly changes: { name: string; bytes: string; hash: string }[];
  readonly records: {
    name: string;
    key: RecordKey;
    ops: (Omit<PlacedOp, 'bytes' | 'index' | 'time'> & { op: string; verdict: unknown })[];
    heads: string[];
    view: unknown;
  }[];
  readonly floors: FloorVector[];
  readonly messages: {
    frontierPage: {
      knows: Record<string, number>;
      groups: unknown[];
      page: string;
      refused: { name: string; page: string; code: string }[];
    };
  };
  readonly digest: {
    compared: { here: string; there: string; common: string; notCompared: unknown[] }[];
  };
  readonly entries: { entry: string; erased: string; forkProof: { bytes: string; id: string } };
}

interface FloorVector {
  readonly name: string;
  readonly key: RecordKey;
  readonly below: FloorVector['above'];
  readonly floor: Floor;
  readonly above: (Omit<PlacedOp, 'bytes'> & { readonly op: string; readonly verdict?: Verdict })[];
  readonly heads: string[];
  readonly view: unknown;
  readonly conflicts: unknown;
  readonly element: string;
}
const vectors = JSON.parse(text) as Vectors;

it('the file is what the sources give, byte for byte: old vectors never change', () => {
  expect(vectorsText()).toBe(text);
});

describe('frontier pages', () => {
  const { knows, groups, page, refused } = vectors.messages.frontierPage;
  it('say what their sender knows, and what it has', () => {
    expect(decodeFrontier(fromHex(page))).toEqual({ knows: new Map(Object.entries(knows)), groups });
  });
  test.each(refused)('refused: $name', (each) => {
    expect(each.code).toBe('frontier-malformed');
    expect(() => decodeFrontier(fromHex(each.page))).toThrow(
      expect.objectContaining({ code: 'frontier-malformed' }),
    );
  });
});

test.each(vectors.digest.compared)('compared: $here with $there', (each) => {
  const [here, there] = [readCoverageText(each.here), readCoverageText(each.there)];
  if (here === undefined || there === undefined) throw new Error('no coverage');
  expect(coverageText(commonCoverage(here, there))).toBe(each.common);
  expect(notCompared(there, here)).toEqual(each.notCompared);
});

describe('identities and keys', () => {
  const { valid, refused } = identityVectors();
  test.each(valid)('peer id $peerId', ({ seed, peerId }) => {
    expect(identityFromSeed(fromHex(seed)).peerId).toBe(peerId);
    expect(parsePeerId(peerId)).toBe(peerId);
  });
  test.each(refused)('no peer id: %j', (peerId) => expect(parsePeerId(peerId)).toBeUndefined());
  test.each(keyVectors().valid)('record key %s', (key) => expect(parseRecordKey(key)).toBeDefined());
  test.each(keyVectors().refused)('no record key: %j', (key) => expect(parseRecordKey(key)).toBeUndefined());
});

test.each(vectors.signatures)('signature: $name', ({ publicKey, message, signature, holds }) => {
  expect(verifySignature(fromHex(publicKey), fromHex(message), fromHex(signature))).toBe(holds);
});

test.each(vectors.envelopes.refused)('envelope: $name', ({ envelope }) => {
  expect(() => readEnvelope(ENTRY_ENVELOPE, fromHex(envelope))).toThrow(/envelope/);
});

describe('canonical dag-cbor', () => {
  test.each(Object.entries(cborVectors().accepted))('%s: %s', (_, bytes) => {
    expect(hex(encodeCbor(decodeCbor(fromHex(bytes)) as Cbor))).toBe(bytes);
  });
  test.each(Object.entries(cborVectors().refused))('%s: %s', (_, bytes) => {
    expect(codeOf(() => decodeCbor(fromHex(bytes)))).toBe('not-canonical');
  });
});

test.each(headerVectors().refused)('header: $name', ({ payload, code }) => {
  expect(codeOf(() => decodeHeader(fromHex(payload)))).toBe(code);
});

it('an entry keeps hash, signature and root when an op is erased', () => {
  const whole = decodeEntry(fromHex(vectors.entries.entry));
  const erased = decodeEntry(fromHex(vectors.entries.erased));
  for (const entry of [whole, erased]) {
    expect(bodyMatches(entry)).toBe(true);
    expect(signatureHolds(ENTRY_ENVELOPE, entry.envelope)).toBe(true);
    expect(entry.hash).toBe(headerHash(whole.envelope.payload));
  }
  expect(erased.body[0]).toHaveProperty('erased');
});

it('the proof of equivocation opens', () => {
  const { bytes, id } = vectors.entries.forkProof;
  expect(verifyForkProof(fromHex(bytes)).id).toBe(id);
});

test.each(vectors.changes)('change: $name', ({ bytes, hash }) => {
  expect(decodeChange(fromHex(bytes)).hash).toBe(hash);
});

test.each(refusedChangeVectors())('no change: $name', ({ bytes, code }) => {
  expect(codeOf(() => decodeChange(fromHex(bytes)))).toBe(code);
});

test.each(vectors.records)('record, in any order of arrival: $name', ({ key, ops, heads, view }) => {
  const placed = ops.map(({ op, author, channel, epoch, seq }) => ({
    bytes: fromHex(op),
    index: 0,
    time: [1_700_000_000_000 + seq, 0] as const,
    author,
    channel,
    epoch,
    seq,
  }));
  for (const order of [placed, placed.toReversed()]) {
    const { verdicts, state } = evaluateWhole(key, order, undefined);
    expect(state.heads).toEqual(heads);
    expect({ ...state.view }).toEqual(view);
    const expected = (order === placed ? ops : ops.toReversed()).map(({ verdict }) => verdict);
    expect(verdicts.map(opVerdict)).toEqual(expected);
  }
});

test.each(vectors.floors)('a floor and what is above it, in any order of arrival: $name', (vector) => {
  const placed = (ops: FloorVector['above']): PlacedOp[] =>
    ops.map(({ op, ...place }) => ({ ...place, bytes: fromHex(op) }));
  const { floor } = runAll(evaluate(vector.key, placed(vector.below), undefined, { tellsFloor: true }));
  expect(floor).toEqual(vector.floor);
  const above = placed(vector.above);
  for (const order of [above, above.toReversed()]) {
    const { verdicts, state } = evaluateWhole(vector.key, order, undefined, undefined, vector.floor);
    expect(state.heads).toEqual(vector.heads);
    expect([{ ...state.view }, { ...state.conflicts }]).toEqual([vector.view, vector.conflicts]);
    expect(digestElement(state)).toBe(vector.element);
    const expected = vector.above.map(({ verdict }) => verdict);
    expect(verdicts).toEqual(order === above ? expected : expected.toReversed());
  }
});

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return errorCode(error);
  }
  return 'accepted';
}
