import { expect, it, vi } from 'vitest';
import type { Entry } from '../../../protocols/feed/entry.ts';
import { placedOps } from '../../../protocols/ledger/placed-ops.ts';
import { RecordOps } from '../../../protocols/ledger/record-ops.ts';
import { actorOf } from '../../../protocols/open-dialog/read-op.ts';
import type { PlacedOp, Verdict } from '../../../protocols/open-dialog/record.ts';
import { automergeVisible, namedBy } from '../../support/automerge-visible.ts';
import { evaluateWhole, type WholeEvaluation } from '../../support/evaluate-whole.ts';
import { LISTINGS, ListingForger } from '../../support/listing-forger.ts';
import { type Hand, openLedger, randomFrom } from '../../support/forge.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const COUNT = Number(process.env.COUNT ?? 20);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000));
const CHANGES = 40;
const owner = nodeOf(1);
it('whatever is late, and wrong in whatever way, has the verdict and gives the state of a full evaluation', async () => {
  const told: Record<string, number> = {};
  const whole = vi.spyOn(RecordOps.prototype, 'of');
  for (let i = 0; i < COUNT; i++) {
    const folder = tempDir('late-histories');
    const node = await openLedger(folder.path, nodeOf(2), Date.now, { wholeOps: 0 });
    node.followStates.set(owner.peerId, 'followed');
    const forger = new ListingForger(randomFrom(SEED + i));
    const ops: PlacedOp[] = [];
    for (let n = 0; n < CHANGES; n++) {
      const at = `COUNT=1 SEED=${SEED + i}, change ${n}`;
      const { hand, bytes } = forger.next();
      const entry = hand.next([bytes]);
      ops.push(...placedOps(entry));
      expect((await node.ledger.receive([entry.bytes]))[0]?.kind).toBe('accept');
      const verdict = node.verdicts().at(-1)?.verdict;
      const expected = evaluateWhole(forger.key, ops, undefined);
      expect(verdict, at).toEqual(expected.verdicts.at(-1));
      expect((await node.store.records([forger.key]))[0], at).toEqual(expected.state);
      if (verdict?.state !== 'applied') forger.drop();
      told[codeOf(verdict)] = (told[codeOf(verdict)] ?? 0) + 1;
    }
    await node.close();
    folder.remove();
  }
  console.info(
    `${COUNT} histories from seed ${SEED}: ${JSON.stringify({ ...told, whole: whole.mock.calls.length })}`,
  );
  const all = [
    'applied',
    'seq-wrong',
    'seq-not-ancestor',
    'start-op-wrong',
    'pred-wrong',
    'pred-own-missing',
  ];
  for (const what of all) expect(told[what], what).toBeGreaterThan(0);
  // Most are told without the others, though nearly each history is wrong somewhere.
  expect(whole.mock.calls.length).toBeGreaterThan(0);
  expect(whole.mock.calls.length).toBeLessThan((COUNT * CHANGES) / 2);
}, 240_000);

/** Of one to five changes, those that one feed signs one after another in one entry. */
function asEntries(changes: readonly { readonly hand: Hand; readonly bytes: Uint8Array }[]): Entry[] {
  const entries: { readonly hand: Hand; readonly ops: Uint8Array[] }[] = [];
  for (const { hand, bytes } of changes) {
    const last = entries.at(-1);
    if (last?.hand === hand) last.ops.push(bytes);
    else entries.push({ hand, ops: [bytes] });
  }
  return entries.map(({ hand, ops }) => hand.next(ops));
}

it('one to five changes in a commit, right or wrong, have the verdicts and give the state of a full evaluation; what the next change names is what Automerge shows', async () => {
  const told: Record<string, number> = {};
  const sizes = new Set<number>();
  for (let i = 0; i < COUNT; i++) {
    const folder = tempDir('late-histories');
    const random = randomFrom(SEED + i);
    const node = await openLedger(folder.path, nodeOf(2), Date.now, { wholeOps: random.pick([0, 8, 512]) });
    node.followStates.set(owner.peerId, 'followed');
    const forger = new ListingForger(random);
    const ops: PlacedOp[] = [];
    while (ops.length < CHANGES && !forger.isOver) {
      const at = `COUNT=1 SEED=${SEED + i}, from change ${ops.length}`;
      const first = forger.made.length;
      const changes = Array.from({ length: 1 + random.int(5) }, () => forger.next());
      sizes.add(changes.length);
      const entries = asEntries(changes);
      const placed = entries.flatMap(placedOps);
      ops.push(...placed);
      const received = await node.ledger.receive(entries.map(({ bytes }) => bytes));
      expect(received.every(({ kind }) => kind === 'accept')).toBe(true);
      const actor = random.pick(changes).hand.pen;
      const expected = evaluateWhole(
        forger.key,
        ops,
        undefined,
        actorOf(actor.author, actor.epoch, forger.key),
      );
      expect((await node.store.records([forger.key]))[0], at).toEqual(expected.state);
      const verdicts = expected.verdicts.slice(-placed.length);
      const listed = await node.store.listed(placed);
      expect(listed, at).toEqual(verdicts.map(({ state }) => state !== 'applied'));
      for (const [n, verdict] of verdicts.entries()) {
        const hand = changes[n]?.hand;
        if (verdict.state !== 'applied' && hand !== undefined)
          forger.lose(first + n, verdict.state === 'pending', hand);
        told[codeOf(verdict)] = (told[codeOf(verdict)] ?? 0) + 1;
      }
      expectNamed(expected, at);
    }
    await node.close();
    folder.remove();
  }
  console.info(`${COUNT} histories from seed ${SEED}: ${JSON.stringify(told)}`);
  for (const what of ['applied', 'seq-wrong', 'pred-wrong']) expect(told[what], what).toBeGreaterThan(0);
  expect(sizes.size).toBe(5);
}, 240_000);

/** What the rule tells of visible writes, against Automerge with the same changes. */
function expectNamed({ visible, follows, changes }: WholeEvaluation, at: string): void {
  if (visible === undefined || follows === undefined) return;
  const shown = automergeVisible(LISTINGS, { changes }, follows.heads);
  expect({ ...visible }, at).toEqual(namedBy(follows.actor, shown));
}

function codeOf(verdict: Verdict | undefined): string {
  return verdict === undefined || verdict.state === 'applied' ? 'applied' : verdict.code;
}
