import { expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { makeSnapshot } from '../../../protocols/checkpoint/make-snapshot.ts';
import { soleTurn } from '../../../protocols/ledger/turn.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { checkpointMembers, edit, end, erase, type Member } from '../../support/checkpoint-member.ts';
import { randomFrom } from '../../support/forge.ts';
import { pull } from '../../support/ledger-node.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1_000_000));
const { member } = checkpointMembers();

/** Values at the ends of what a field may hold. */
const VALUES: Readonly<Record<string, readonly (string | number)[]>> = {
  price: [0, 0.1, 1e300, 5e-324, 2 ** 53, 2 ** 31, 1e21],
  title: ['', 'Mahindi – ümlaut', '\u{1f33d}', '\u0000', 'x'.repeat(200)],
  unit: ['kg', 'bag'],
};

async function sums(node: Member, isFromOps: boolean): Promise<unknown> {
  const feeds = node.store.feeds(node.self, 'public');
  const covers = feeds
    .map(({ epoch, seq, hash }) => ({ epoch, seq, hash }))
    .sort((a, b) => (a.epoch < b.epoch ? -1 : 1));
  return makeSnapshot(node.store, node.self, covers, {
    turn: soleTurn(systemEnv),
    isChecked: false,
    isFromOps,
    signal: new AbortController().signal,
  });
}

it('a snapshot from stored states is the one from their ops, for whoever got them in whatever order', async () => {
  const random = randomFrom(SEED);
  const clones: Member[] = [];
  for (let i = 0; i < 4; i++) clones.push(await member(nodeOf(1)));
  const [first] = clones;
  if (first === undefined) throw new Error('no clones');
  const meet = async (from: Member, to: Member): Promise<void> => {
    if (from !== to) await pull(from, to, [first.self]);
  };
  const ids = Array.from({ length: 12 }, (_, i) => `maize-${i}`);
  for (const id of ids) await edit(first, id, { type: 'offer', status: 'active' });
  for (const each of clones) await meet(first, each);
  for (let step = 0; step < 150; step++) {
    const node = random.pick(clones);
    const id = random.pick(ids);
    const state = (await node.store.records([recordKey('listings', first.self, id)]))[0];
    const roll = random.int(30);
    if (roll < 4) await meet(random.pick(clones), node);
    else if (state?.exists !== true || state.tombstone || state.erased === true) continue;
    else if (roll === 4) await end(node, state.key);
    else if (roll === 5) await erase(node, id);
    else {
      const field = random.pick(Object.keys(VALUES));
      await edit(node, id, { [field]: random.pick(VALUES[field] ?? []) });
    }
  }
  for (let round = 0; round < 2; round++)
    for (const from of clones) for (const to of clones) await meet(from, to);
  const expected = await sums(first, true);
  for (const each of clones) {
    expect(await sums(each, false), `SEED=${SEED}`).toEqual(expected);
    expect(await sums(each, true), `SEED=${SEED}`).toEqual(expected);
  }
});
