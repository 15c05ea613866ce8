import { expect, it } from 'vitest';
import { lineOf, type RotationLink, withRotation } from '../../../protocols/rotation/line.ts';
import { rootsOf } from '../../../protocols/rotation/roots.ts';
import { recoveryHash } from '../../../protocols/rotation/statement.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import type { Identity } from '../../../protocols/wire/identity.ts';
import { ROTATION_KEYS } from '../../support/vectors/rotations.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const { node, to, later, recovery, thief } = ROTATION_KEYS;
const facts = { commitments: new Set([recoveryHash(recovery)]), approved: new Set<string>() };

function link(grantor: Identity, next: Identity, after?: RotationLink, name = node): RotationLink {
  const said = {
    node: name.peerId,
    gen: (after?.gen ?? 0) + 1,
    prev: after?.id,
    to: next.peerId,
    recovery: recoveryHash(recovery),
    cut: [],
  };
  const id = sha256Hex(JSON.stringify(said));
  return { ...said, id, grantor: grantor.peerId, grantorHash: recoveryHash(grantor) };
}

it('whatever a thief has signed, and in whatever order: the recovery key undoes all of it', () => {
  const first = link(node, to);
  const stolen = [link(node, thief), link(node, nodeOf(53))];
  const chain = stolen.flatMap((each) => [each, link(thief, nodeOf(54), each)]);
  const recovered = link(recovery, later);
  for (const signed of [chain, [first, ...chain], [...chain, link(to, thief, first), first]]) {
    const line = lineOf(node.peerId, [...signed, recovered], facts);
    expect(line).toMatchObject({ state: 'whole', newest: later.peerId, rotations: [recovered.id] });
    const roots = rootsOf([line]);
    expect([...roots.keys()]).toEqual([node.peerId, later.peerId]);
    expect([node, later].map(({ peerId }) => roots.get(peerId)?.speaks)).toEqual([false, true]);
  }
});

it('of what follows rivals nothing is kept, so that a thief cannot fill a disk', () => {
  let held: readonly RotationLink[] = [link(node, to), link(node, thief)];
  for (const each of held)
    expect(withRotation(node.peerId, held, link(thief, nodeOf(55), each), facts)).toBe('gap');
  for (let i = 0; i < 1000; i++) {
    const more = withRotation(node.peerId, held, link(node, nodeOf((i % 190) + 60)), facts);
    if (typeof more !== 'string') held = more;
  }
  expect(held).toHaveLength(9);
  expect(withRotation(node.peerId, held, link(thief, to), facts)).toBe('unsigned');
  expect(withRotation(node.peerId, held, link(node, node), facts)).toBe('unsigned');
  expect(withRotation(node.peerId, held, link(node, to, undefined, later), facts)).toBe('gap');
});

it('a first key is its own node’s whatever others say, and a later one that two nodes name is neither’s', () => {
  const [mine, other] = [node, nodeOf(2)];
  const lineFor = (of: Identity, next: Identity) => lineOf(of.peerId, [link(of, next, undefined, of)], facts);
  const rootOf = (key: Identity, ...lines: ReturnType<typeof lineFor>[]) =>
    rootsOf(lines).get(key.peerId)?.root;
  expect(rootOf(to, lineFor(mine, to), lineFor(other, later))).toBe(mine.peerId);
  expect(rootOf(to, lineFor(mine, to), lineFor(other, to))).toBeUndefined();
  expect(rootOf(other, lineFor(mine, other), lineFor(other, later))).toBe(other.peerId);
});
