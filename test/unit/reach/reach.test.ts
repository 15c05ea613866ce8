import { describe, expect, it } from 'vitest';
import {
  contact,
  emptyReach,
  isReached,
  probed,
  REACH_LIMITS,
  type ReachState,
  round,
  type WatchedNode,
} from '../../../daemon/reach/reach.ts';

const { roundMs, lostMs, probesAtOnce } = REACH_LIMITS;
const linked = (id: string): WatchedNode => ({ id, connected: true, hasUrl: true });
const cut = (id: string, hasUrl = true): WatchedNode => ({ id, connected: false, hasUrl });

/** Rounds from `from` to `to`; every probe is answered as `answers` says. Returns what was told, with its time. */
function run(
  state: ReachState,
  nodes: (now: number) => readonly WatchedNode[],
  [from, to]: readonly [number, number],
  answers: (id: string, now: number) => boolean,
): { at: number; what: 'lost' | 'back'; id: string }[] {
  const told: { at: number; what: 'lost' | 'back'; id: string }[] = [];
  for (let now = from; now <= to; now += roundMs) {
    const { probes, lost, back } = round(state, nodes(now), now);
    for (const id of lost) told.push({ at: now, what: 'lost', id });
    for (const id of back) told.push({ at: now, what: 'back', id });
    for (const id of probes) probed(state, id, answers(id, now), now + 1, () => 0.5);
  }
  return told;
}

describe('when a node counts as reached', () => {
  it('ages a peer that is gone within 90 s and tells it once, and once that it is back', () => {
    const state = emptyReach();
    const gone = 100_000;
    const back = 400_000;
    const told = run(
      state,
      (now) => [now < gone || now >= back ? linked('a') : cut('a')],
      [0, 500_000],
      () => false,
    );
    expect(told.map(({ what }) => what)).toEqual(['lost', 'back']);
    expect(told[0]?.at).toBeGreaterThan(gone);
    expect(told[0]?.at).toBeLessThanOrEqual(gone + 90_000);
    expect(told[1]?.at).toBeLessThanOrEqual(back + roundMs);
  });

  it('keeps a node that only answers over HTTP, and loses it when it does not', () => {
    const state = emptyReach();
    const told = run(
      state,
      () => [cut('a')],
      [0, 600_000],
      (_, now) => now < 300_000,
    );
    expect(told).toEqual([{ at: expect.any(Number), what: 'lost', id: 'a' }]);
    expect(told[0]?.at).toBeGreaterThanOrEqual(300_000 + lostMs - REACH_LIMITS.probeMs - roundMs);
    expect(told[0]?.at).toBeLessThanOrEqual(390_000);
    expect(isReached(state, 'a', 600_000)).toBe(false);
  });

  it('is not moved by one question that is lost', () => {
    const state = emptyReach();
    let asked = 0;
    const told = run(
      state,
      () => [cut('a')],
      [0, 900_000],
      () => asked++ % 2 === 0,
    );
    expect(told).toEqual([]);
    expect(asked).toBeGreaterThan(10);
  });

  it('tells of one that was never reached, and asks nobody without a URL', () => {
    const state = emptyReach();
    let asked = 0;
    const told = run(
      state,
      () => [cut('a', false)],
      [0, 300_000],
      () => asked++ > 0,
    );
    expect(told.map(({ what }) => what)).toEqual(['lost']);
    expect(asked).toBe(0);
    contact(state, 'a', 300_000);
    expect(isReached(state, 'a', 300_001)).toBe(true);
  });

  it('does not take its own standstill for the silence of others', () => {
    const state = emptyReach();
    run(
      state,
      () => [linked('a')],
      [0, 50_000],
      () => false,
    );
    // Ten minutes in which this process did nothing; the connection is gone since, and the first question not answered yet.
    expect(round(state, [cut('a')], 650_000).lost).toEqual([]);
    expect(isReached(state, 'a', 650_000)).toBe(true);
    expect(
      run(
        state,
        () => [cut('a')],
        [655_000, 750_000],
        () => false,
      ),
    ).toHaveLength(1);
  });

  it('asks those that are reached first, however many are dead', () => {
    const state = emptyReach();
    const dead = Array.from({ length: 500 }, (_, i) => cut(`dead${i}`));
    const told = run(
      state,
      (now) => (now < 5000 ? [linked('alive')] : [...dead, cut('alive')]),
      [0, 600_000],
      (id) => id === 'alive',
    );
    expect(told.filter(({ id }) => id === 'alive')).toEqual([]);
    expect(told).toHaveLength(dead.length);
    expect(round(state, [...dead, cut('alive')], 605_000).probes.length).toBeLessThanOrEqual(probesAtOnce);
  });

  it('asks a thousand lost nodes more rarely the longer they are silent, never many at once, and one that comes back is told', () => {
    const state = emptyReach();
    const nodes = Array.from({ length: 1000 }, (_, i) => cut(`n${i}`));
    const [hour, rest] = [3_600_000, 6 * 3_600_000];
    let inRound = { at: -1, count: 0, most: 0 };
    let asked = 0;
    const count = (_: string, now: number): boolean => {
      if (now < rest) return false;
      asked++;
      const before = now === inRound.at ? inRound.count : 0;
      inRound = { at: now, count: before + 1, most: Math.max(inRound.most, before + 1) };
      return false;
    };
    run(state, () => nodes, [0, rest + hour], count);
    // each of them every 25 minutes, all together two in three seconds; and nobody is forgotten
    expect(asked).toBeLessThan(hour / 1500 + 100);
    expect(asked).toBeGreaterThan(1000);
    expect(inRound.most).toBeLessThanOrEqual(REACH_LIMITS.lostPerRound);
    const told = run(
      state,
      () => nodes,
      [rest + hour, rest + 2 * hour],
      (id) => id === 'n7',
    );
    expect(told).toEqual([{ at: expect.any(Number), what: 'back', id: 'n7' }]);
  });

  it('forgets who is registered no more', () => {
    const state = emptyReach();
    round(state, [linked('a')], 0);
    round(state, [], 5000);
    expect(state.nodes.size).toBe(0);
  });
});
