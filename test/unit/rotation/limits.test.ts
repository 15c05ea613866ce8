import { expect, it } from 'vitest';
import type { FrontierItem } from '../../../protocols/feed/frontier.ts';
import { lineOf, type RotationLink, withRotation } from '../../../protocols/rotation/line.ts';
import {
  recoveryHash,
  ROTATION_GRANT_ENVELOPE,
  ROTATION_LIMITS,
  type RotationStatement,
  signRotation,
  verifyRotation,
} from '../../../protocols/rotation/statement.ts';
import { encodeCbor } from '../../../protocols/wire/cbor.ts';
import { signEnvelope } from '../../../protocols/wire/envelope.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { outcomeOf } from '../../support/vectors/outcome.ts';
import { ROTATION_KEYS, vectorRotation } from '../../support/vectors/rotations.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const { node, to, recovery } = ROTATION_KEYS;
const { bytes, cut, seen, generations, rivals } = ROTATION_LIMITS;
const hash = (n: number): string => n.toString(16).padStart(64, '0');
const signed = (change: Partial<RotationStatement>): Uint8Array =>
  signRotation({ to, grantor: node }, { ...vectorRotation(), ...change });
const opened = (change: Partial<RotationStatement>): string =>
  outcomeOf(() => verifyRotation(signed(change), 'vectors'));
/** As long as items can be. */
const items = (count: number): FrontierItem[] =>
  Array.from({ length: count }, (_, i) => ({
    epoch: i.toString(16).padStart(16, '0'),
    seq: 0xffff_ffff,
    hash: hash(i),
    fork: hash(i),
  }));
const authors = Array.from({ length: seen }, (_, i) => nodeOf(100 + i).peerId).sort();

it('as many epochs in a cut as there may be, and one more', () => {
  expect(opened({ cut: items(cut) })).toBe('accepted');
  expect(opened({ cut: items(cut + 1) })).toBe('rotation-malformed');
});

it('as many epochs seen as there may be, and one more', () => {
  const of = (author: PeerId | undefined, count: number) =>
    author === undefined ? [] : [{ author, items: items(count) }];
  const [first, second] = authors;
  expect(opened({ seen: of(first, seen) })).toBe('accepted');
  expect(opened({ seen: of(first, seen + 1) })).toBe('rotation-malformed');
  expect(opened({ seen: [...of(first, seen - 1), ...of(second, 1)] })).toBe('accepted');
  expect(opened({ seen: [...of(first, seen), ...of(second, 1)] })).toBe('rotation-malformed');
});

it('the last generation, and one more', () => {
  expect(opened({ gen: generations, prev: hash(1) })).toBe('accepted');
  expect(opened({ gen: generations + 1, prev: hash(1) })).toBe('rotation-malformed');
});

it('a rotation of so many bytes, and of one more', () => {
  const full = { gen: generations, prev: hash(1), cut: items(cut), time: Number.MAX_SAFE_INTEGER };
  const largest = signed({ ...full, seen: authors.map((author) => ({ author, items: items(1) })) });
  // What its fields can hold fits, so only what is no rotation is longer.
  expect(outcomeOf(() => verifyRotation(largest, 'vectors'))).toBe('accepted');
  expect(largest.length).toBeLessThanOrEqual(bytes);
  const said = (length: number): string => {
    const around = signEnvelope(node, ROTATION_GRANT_ENVELOPE, encodeCbor(new Uint8Array(length)));
    try {
      verifyRotation(around, 'vectors');
    } catch (error) {
      return `${around.length} ${String(error)}`;
    }
    return 'accepted';
  };
  const about =
    bytes - signEnvelope(node, ROTATION_GRANT_ENVELOPE, encodeCbor(new Uint8Array(30_000))).length;
  expect(said(30_000 + about)).toContain(`${bytes} `);
  expect(said(30_000 + about)).not.toContain('too long');
  expect(said(30_001 + about)).toContain('too long');
});

it('as many rivals as are told apart, and one more', () => {
  const facts = { commitments: new Set([recoveryHash(recovery)]), approved: new Set<string>() };
  const all = Array.from({ length: rivals + 4 }, (_, i): RotationLink => ({
    id: hash(i),
    node: node.peerId,
    gen: 1,
    prev: undefined,
    to: nodeOf(50 + i).peerId,
    recovery: recoveryHash(recovery),
    cut: [{ epoch: 'aa', seq: 10 + i, hash: '' }],
    grantor: node.peerId,
    grantorHash: recoveryHash(node),
  }));
  const kept = (count: number, order: (list: RotationLink[]) => RotationLink[]): readonly RotationLink[] =>
    order(all.slice(0, count)).reduce<readonly RotationLink[]>((held, each) => {
      const more = withRotation(node.peerId, held, each, facts);
      return typeof more === 'string' ? held : more;
    }, []);
  for (const order of [(list: RotationLink[]) => list, (list: RotationLink[]) => list.toReversed()]) {
    expect(lineOf(node.peerId, kept(rivals, order), facts).keys[0]?.cuts).toHaveLength(rivals);
    expect(lineOf(node.peerId, kept(rivals + 1, order), facts).keys[0]?.cuts).toEqual([[]]);
    // However many there are, as many are kept, and the same.
    expect(
      kept(all.length, order)
        .map(({ id }) => id)
        .sort(),
    ).toEqual(all.slice(0, rivals + 1).map(({ id }) => id));
  }
});
