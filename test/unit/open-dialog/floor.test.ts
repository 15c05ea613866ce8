import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { digestElement } from '../../../protocols/digest/element.ts';
import { decodeChange } from '../../../protocols/open-dialog/change.ts';
import { applyFast } from '../../../protocols/open-dialog/fast-path.ts';
import type { Floor } from '../../../protocols/open-dialog/floor.ts';
import { genesisOf } from '../../../protocols/open-dialog/genesis.ts';
import { isWithinState } from '../../../protocols/open-dialog/late-change.ts';
import { mergeChanges } from '../../../protocols/open-dialog/merge.ts';
import { readOp } from '../../../protocols/open-dialog/read-op.ts';
import {
  openState,
  type PlacedOp,
  type RecordState,
  type Verdict,
} from '../../../protocols/open-dialog/record.ts';
import type { Evaluation } from '../../../protocols/open-dialog/rule.ts';
import { COLLECTIONS } from '../../../protocols/open-dialog/schema.ts';
import { withValues } from '../../../protocols/open-dialog/values.ts';
import { automergeVisible, namedBy } from '../../support/automerge-visible.ts';
import { FlooredWorld, isBelow, isCovered, NOTHING_MADE } from '../../support/floored-world.ts';
import { modelOf } from '../../support/floor-model.ts';
import { seededRandom } from '../../support/random.ts';

const COUNT = Number(process.env.COUNT ?? 80);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000));
const LISTINGS = COLLECTIONS['listings'] ?? fail();

function fail(): never {
  throw new TypeError('no listings');
}

function same(one: unknown, other: unknown, at: string): void {
  const [a, b]: unknown[] = [one, other].map((value) => JSON.parse(JSON.stringify(value)));
  if (!isDeepStrictEqual(a, b)) expect(a, at).toEqual(b);
}

/** Without how many ops are held: of those that are covered it depends on whether they were pruned. */
const shown = (state: RecordState): RecordState => ({ ...state, ops: 0 });

function stateOf({ outline, values }: Evaluation): RecordState {
  return values === undefined ? outline : withValues(outline, values);
}

/** A world in which `steps` ops are written, with checkpoints that lag so much. */
function worldOf(seed: number, how: { spoils: boolean; ends: boolean }, lag: number): FlooredWorld {
  const random = seededRandom(seed);
  const world = new FlooredWorld(random, how);
  for (let steps = 10 + Math.floor(random() * 25); steps > 0; steps--) {
    world.step([1, 0.6, 0.2, 0][Math.floor(random() * 4)] ?? 1);
    if (random() < 0.15) world.checkpoint(lag);
  }
  return world;
}

/** Each feed in its own order, the feeds mixed. */
function mixed(random: () => number, ops: readonly PlacedOp[]): PlacedOp[] {
  const order: PlacedOp[] = [];
  let left = [...Map.groupBy(ops, (op) => op.epoch).values()].map((feed) => [...feed]);
  for (; left.length > 0; left = left.filter((feed) => feed.length > 0)) {
    const op = left[Math.floor(random() * left.length)]?.shift();
    if (op !== undefined) order.push(op);
  }
  return order;
}

/** Whether a change follows some heads of a floor and not all. */
function isPart(floor: Floor | undefined, deps: readonly string[]): boolean {
  if (floor?.kind !== 'document') return false;
  const named = floor.heads.filter((head) => deps.includes(head)).length;
  return named > 0 && named < floor.heads.length;
}

function changesOf(ops: readonly PlacedOp[]) {
  return [...Map.groupBy(ops, (op) => op.epoch).values()].map((feed) =>
    feed.flatMap((op) => {
      const read = readOp(op);
      return 'problem' in read || read.reading.kind !== 'change' ? [] : [{ op, change: read.reading.change }];
    }),
  );
}

test('what counts above a floor, and what it amounts to, is what a model says that looks for everything everywhere', () => {
  const seen = { applied: 0, pending: 0, rejected: 0, below: 0, floors: 0, conflicts: 0, parts: 0 };
  for (let i = 0; i < COUNT; i++) {
    const at = `COUNT=1 SEED=${SEED + i}`;
    const world = worldOf(SEED + i, { spoils: true, ends: false }, i % 6);
    for (const made of [NOTHING_MADE, ...world.made]) {
      const ops = world.ops.filter((op) => !isCovered(op, made));
      const { verdicts, outline, values } = world.evaluate(ops, made);
      const feeds = changesOf(ops);
      const model = modelOf(
        genesisOf(LISTINGS),
        made.floor,
        feeds.map((feed) => feed.map(({ change }) => change)),
      );
      const states = feeds.map((feed) => feed.map(({ op }) => verdicts[ops.indexOf(op)]?.state));
      same(states, model.states, at);
      same(outline.heads, model.heads, at);
      for (const [field, some] of Object.entries(model.values)) {
        const [[op, value] = []] = some;
        expect([values?.fieldOps[field]?.[0], values?.view[field]], `${at} ${field}`).toEqual([op, value]);
        if (some.length > 1) seen.conflicts++;
        const conflicts = some.length > 1 ? some.map(([id, each]) => ({ op: id, value: each })) : undefined;
        expect(values?.conflicts[field], `${at} ${field}`).toEqual(conflicts);
      }
      expect(Object.keys(values?.view ?? {}).sort(), at).toEqual(Object.keys(model.values).sort());
      if (made.floor !== undefined) seen.floors++;
      if (made.floor === undefined) continue;
      seen.parts += feeds.flat().filter(({ change }) => isPart(made.floor, change.deps)).length;
      for (const verdict of verdicts) {
        seen[verdict.state]++;
        if (verdict.state === 'pending' && verdict.code === 'below-floor') seen.below++;
      }
    }
  }
  console.info(`${COUNT} worlds from seed ${SEED}: ${JSON.stringify(seen)}`);
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0);
}, 240_000);

test('above a floor, op by op in any order is the evaluation of everything, and its values are those of Automerge', () => {
  const seen = { fast: 0, slow: 0, merged: 0, named: 0, ended: 0, erased: 0 };
  for (let i = 0; i < COUNT; i++) {
    const at = `COUNT=1 SEED=${SEED + i}`;
    const random = seededRandom(SEED + i);
    const world = worldOf(SEED + i, { spoils: true, ends: i % 2 === 0 }, i % 6);
    const made = world.last;
    if (made.floor === undefined) continue;
    let state = stateOf(world.evaluate([], made));
    let verdicts: Verdict[] = [];
    const taken: PlacedOp[] = [];
    for (const placed of mixed(random, world.ops)) {
      const read = readOp(placed);
      if (isCovered(placed, made) || 'problem' in read) continue;
      taken.push(placed);
      const whole = world.evaluate(taken, made);
      const open = openState(state);
      // What comes late is not evaluated by the few changes that it names: some of these no op holds.
      if (open.floored !== undefined && read.reading.kind === 'change')
        expect(isWithinState(open, read.reading.change), at).toBe(false);
      const verdict = applyFast(open, read, placed, undefined);
      state = verdict === undefined ? stateOf(whole) : open;
      verdicts = verdict === undefined ? [...whole.verdicts] : [...verdicts, verdict];
      seen[verdict === undefined ? 'slow' : 'fast']++;
      same(state, stateOf(whole), `${at}, op ${taken.length}`);
      same(verdicts, whole.verdicts, `${at}, op ${taken.length}`);
    }
    const { input, values } = world.evaluate(taken, made);
    if (state.floored === 'ended') seen.ended++;
    if (state.erased === true) seen.erased++;
    if (input === undefined) continue;
    same(mergeChanges(world.key, input.changes, input.floor), values, at);
    // What the next change names of somebody new, and of each who has written above the floor.
    const actors = input.changes.map((bytes) => decodeChange(bytes).actor);
    for (const actor of new Set(['f'.repeat(32), ...actors])) {
      const { follows, visible } = world.evaluate(taken, made, actor);
      const named = namedBy(actor, automergeVisible(LISTINGS, input, follows?.heads ?? []));
      same(visible, named, `${at}, ${actor}`);
      seen.named++;
    }
    seen.merged++;
  }
  console.info(`from seed ${SEED}: ${JSON.stringify(seen)}`);
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0);
}, 240_000);

test('what begins below a floor and depends on what is above it is rejected, whichever of the two is walked first', () => {
  const world = worldOf(1, { spoils: false, ends: false }, 0);
  const made = world.made.find(({ floor }) => floor?.kind === 'document') ?? fail();
  for (const [first, second] of [
    [1, 2],
    [2, 1],
  ] as const) {
    const [above, below] = world.crossed(made, first, second);
    for (const ops of [
      [above, below],
      [below, above],
    ]) {
      const { verdicts } = world.evaluate(ops, made);
      expect(verdicts[ops.indexOf(above)]).toEqual({ state: 'applied' });
      expect(verdicts[ops.indexOf(below)]).toEqual({ state: 'rejected', code: 'start-op-wrong' });
    }
    expect(world.evaluate([below], made).verdicts).toMatchObject([{ state: 'pending', code: 'below-floor' }]);
  }
}, 60_000);

test('who pruned, who did not and who is new show the same, and what they showed before where nothing comes late', () => {
  const seen = { floors: 0, again: 0, exact: 0, late: 0 };
  for (let i = 0; i < COUNT; i++) {
    const at = `COUNT=1 SEED=${SEED + i}`;
    const world = worldOf(SEED + i, { spoils: false, ends: i % 3 === 0 }, i % 2 === 0 ? 12 : 0);
    for (const [n, made] of world.made.entries()) {
      if (made.floor === undefined) continue;
      seen.floors++;
      const held = world.ops.filter((op) => !isCovered(op, made));
      const above = world.ops.filter((op) => !isBelow(op, made.covers));
      const [unpruned, fresh] = [world.evaluate(held, made), world.evaluate(above, made)];
      same(shown(stateOf(unpruned)), shown(stateOf(fresh)), at);
      // Whoever has the ops finds the same floor in them as who has the floor before and what came above that.
      const below = world.ops.filter((op) => isBelow(op, made.covers));
      if (n === 0) same(world.evaluate(below, NOTHING_MADE).floor, made.floor, at);
      else if (world.made[n - 1]?.floor !== undefined) seen.again++;
      const full = world.evaluate(world.ops, NOTHING_MADE);
      if (unpruned.outline.pending > 0 || full.outline.pending > 0) {
        seen.late++;
        continue;
      }
      // A change that an earlier floor left below it has no effect above a later one, which covers it.
      if (n > 0) continue;
      seen.exact++;
      expect(digestElement(unpruned.outline), at).toBe(digestElement(full.outline));
      if (made.floor.kind === 'document' && full.outline.erased !== true) {
        const { view, fieldOps, conflicts } = stateOf(unpruned);
        const before = stateOf(full);
        same([view, fieldOps, conflicts], [before.view, before.fieldOps, before.conflicts], at);
      }
    }
  }
  console.info(`${COUNT} worlds from seed ${SEED}: ${JSON.stringify(seen)}`);
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0);
}, 240_000);
