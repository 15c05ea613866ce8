import { expect, test } from 'vitest';
import { AgrinetError } from '../../../protocols/errors.ts';
import { type Entry, signEntry } from '../../../protocols/feed/entry.ts';
import { isNewFork, makeForkProof, verifyForkProof, readForkProof } from '../../../protocols/feed/fork.ts';
import { encodeCbor } from '../../../protocols/wire/cbor.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';

const mallory = identityFromSeed(new Uint8Array(32).fill(3));
const other = identityFromSeed(new Uint8Array(32).fill(4));

function entryAt(
  seq: number,
  text: string,
  patch: { epoch?: string; net?: string } = {},
  identity = mallory,
): Entry {
  const prev = seq === 1 ? null : 'ee'.repeat(32);
  const place = {
    net: 'n',
    channel: 'public',
    epoch: '00000000000000aa',
    seq,
    prev,
    after: [],
    time: [1, 0],
  } as const;
  return signEntry(identity, { ...place, ...patch }, [new TextEncoder().encode(text)]);
}

test('a proof is the same from whichever side it is made', () => {
  const [a, b] = [entryAt(2, 'a'), entryAt(2, 'b')];
  const proof = makeForkProof(a, b);
  expect(makeForkProof(b, a)).toEqual(proof);
  expect(verifyForkProof(proof.bytes)).toEqual(proof);
  expect(proof.hashes).toEqual([a.hash, b.hash].sort());
});

test('two places, two authors, two networks or one header twice prove nothing', () => {
  const a = entryAt(2, 'a');
  const no: [Entry, Entry][] = [
    [a, entryAt(3, 'b')],
    [a, entryAt(2, 'b', { epoch: '00000000000000bb' })],
    [a, entryAt(2, 'b', { net: 'm' })],
    [a, entryAt(2, 'b', {}, other)],
    [a, a],
  ];
  for (const [one, two] of no) expect(() => makeForkProof(one, two)).toThrow(AgrinetError);
});

test('the envelopes stand in one order only', () => {
  const [low, high] = [entryAt(2, 'a'), entryAt(2, 'b')].sort((x, y) => (x.hash < y.hash ? -1 : 1));
  const reversed = encodeCbor([high?.envelopeBytes ?? null, low?.envelopeBytes ?? null]);
  expect(() => verifyForkProof(reversed)).toThrow(/order/);
});

test('the lower place is new; of one place every proof is the same', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((text) => entryAt(3, text));
  if (a === undefined || b === undefined || c === undefined) throw new TypeError('three entries');
  const low = makeForkProof(entryAt(2, 'a'), entryAt(2, 'b'));
  const here = [makeForkProof(a, b), makeForkProof(a, c), makeForkProof(b, c)];
  expect(new Set(here.map(({ id }) => id)).size).toBe(1);
  expect(low.id).not.toBe(here[0]?.id);
  for (const proof of here) {
    expect(isNewFork(proof, undefined)).toBe(true);
    expect(isNewFork(proof, low)).toBe(false);
    expect(isNewFork(low, proof)).toBe(true);
    for (const known of here) expect(isNewFork(proof, known)).toBe(false);
  }
});

test('reading a proof gives the same as opening it, and looks at no signature', () => {
  const proof = makeForkProof(entryAt(2, 'a'), entryAt(2, 'b'));
  expect(readForkProof(proof.bytes)).toEqual(proof);
  const forged = Uint8Array.from(proof.bytes);
  forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
  expect(readForkProof(forged).id).toBe(proof.id);
  expect(() => verifyForkProof(forged)).toThrow(/signature/);
});
