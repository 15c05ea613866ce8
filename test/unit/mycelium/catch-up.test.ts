import { describe, expect, test } from 'vitest';
import { CATCH_UP_LIMITS, CatchUpPlan, type Need } from '../../../protocols/mycelium/catch-up.ts';
import { identityFromSeed, type PeerId } from '../../../protocols/wire/identity.ts';

const author = (n: number): PeerId => identityFromSeed(new Uint8Array(32).fill(n)).peerId;
const group = (n: number) => ({ author: author(n), channel: 'public' as const });
const everybody = (): boolean => true;

function started(
  plan: CatchUpPlan,
  now = 0,
  reachable: (peer: string) => boolean = everybody,
): { peer: string; need: Need }[] {
  return plan.next(now, reachable);
}

function only(starts: { peer: string; need: Need }[]): { peer: string; need: Need } {
  const [start] = starts;
  if (start === undefined || starts.length !== 1) throw new Error(`${starts.length} pulls instead of one`);
  return start;
}

describe('the catch-up plan', () => {
  test('pulls a feed from one holder at a time and forgets it when nothing is lacking', () => {
    const plan = new CatchUpPlan();
    plan.want('p', group(1));
    plan.want('q', group(1));
    const { peer, need } = only(started(plan));
    expect(started(plan)).toEqual([]);
    plan.ended(peer, need, true, false, 0);
    expect(plan.pending).toBe(0);
  });

  test('asks the next holder at once when one fails, and the failed one again only after a pause', () => {
    const plan = new CatchUpPlan();
    plan.want('p', group(1));
    plan.want('q', group(1));
    const first = only(started(plan));
    plan.ended(first.peer, first.need, false, true, 0);
    const second = only(started(plan));
    expect(second.peer).not.toBe(first.peer);
    plan.ended(second.peer, second.need, false, true, 0);
    expect(started(plan, CATCH_UP_LIMITS.retryMs - 1)).toEqual([]);
    expect(plan.wakeAt(0)).toBe(CATCH_UP_LIMITS.retryMs);
    expect(started(plan, CATCH_UP_LIMITS.retryMs)).toHaveLength(1);
  });

  test('leaves places to those that have none: four that trickle do not hold all of them', () => {
    const plan = new CatchUpPlan();
    for (const [p, peer] of ['a', 'b', 'c', 'd'].entries())
      for (let n = 0; n < 5; n++) plan.want(peer, group(1 + 5 * p + n));
    const held = started(plan);
    expect(held).toHaveLength(4 + CATCH_UP_LIMITS.further);
    expect(held.length).toBeLessThan(CATCH_UP_LIMITS.pulls);
    plan.want('honest', group(100));
    expect(only(started(plan)).peer).toBe('honest');
  });

  test('does not ask again who gave all it had, while others may have more', () => {
    const plan = new CatchUpPlan();
    plan.want('p', group(1));
    plan.want('q', group(1));
    const first = only(started(plan));
    plan.ended(first.peer, first.need, true, true, 0);
    const second = only(started(plan));
    expect(second.peer).not.toBe(first.peer);
    plan.ended(second.peer, second.need, true, true, 0);
    expect(plan.pending).toBe(0);
  });

  test('runs once more when the feed was shown again meanwhile', () => {
    const plan = new CatchUpPlan();
    plan.want('p', group(1));
    const { peer, need } = only(started(plan));
    plan.want('p', group(1));
    plan.ended(peer, need, true, false, 0);
    expect(only(started(plan)).peer).toBe('p');
  });

  test('prefers another holder to one that failed, however often that one shows the feed', () => {
    const plan = new CatchUpPlan();
    plan.want('tarpit', group(1));
    const first = only(started(plan));
    plan.want('tarpit', group(1));
    plan.want('quick', group(1));
    plan.ended(first.peer, first.need, false, true, 0);
    expect(only(started(plan)).peer).toBe('quick');
  });

  test('gives one peer so many places and no more, so that another’s feeds go on', () => {
    const plan = new CatchUpPlan();
    for (let n = 1; n <= 6; n++) plan.want('tarpit', group(n));
    plan.want('quick', group(7));
    const starts = started(plan);
    expect(starts.filter(({ peer }) => peer === 'tarpit')).toHaveLength(CATCH_UP_LIMITS.pullsPerPeer);
    expect(starts.filter(({ peer }) => peer === 'quick')).toHaveLength(1);
  });

  test('four that trickle get the places of those that fail, together, and leave the others to the rest', () => {
    const plan = new CatchUpPlan();
    const mud = ['m1', 'm2', 'm3', 'm4'];
    let n = 0;
    for (const peer of mud) for (let i = 0; i < 6; i++) plan.want(peer, group(++n));
    for (let n = 100; n < 110; n++) plan.want('quick', group(n));
    // The first time each has the places of any peer.
    const first = started(plan);
    expect(first.filter(({ peer }) => peer !== 'quick')).toHaveLength(4 + CATCH_UP_LIMITS.further);
    expect(first.filter(({ peer }) => peer === 'quick')).toHaveLength(1);
    let now = 0;
    const failed = new Set<string>();
    const end = (starts: typeof first): void => {
      for (const { peer, need } of starts) {
        plan.ended(peer, need, peer === 'quick', peer !== 'quick', now);
        if (peer !== 'quick') failed.add(peer);
      }
    };
    end(first);
    for (let round = 0; round < 6; round++) {
      now += CATCH_UP_LIMITS.retryMs * 2 ** round;
      const next = started(plan, now);
      const failing = next.filter(({ peer }) => failed.has(peer));
      expect(failing.length).toBeLessThanOrEqual(CATCH_UP_LIMITS.pullsOfFailing);
      expect(next.filter(({ peer }) => peer === 'quick').length).toBeGreaterThan(round < 3 ? 0 : -1);
      end(next);
    }
    expect(started(plan, now * 2).some(({ peer }) => peer === 'quick')).toBe(false);
  });

  test('prefers the holder with less to do', () => {
    const plan = new CatchUpPlan();
    for (let n = 1; n <= 2; n++) plan.want('tarpit', group(n));
    started(plan);
    plan.want('tarpit', group(3));
    plan.want('quick', group(3));
    expect(only(started(plan)).peer).toBe('quick');
  });

  test('starts at most so many pulls, and a place that becomes free is taken', () => {
    const plan = new CatchUpPlan();
    for (let n = 1; n <= CATCH_UP_LIMITS.pulls + 2; n++) plan.want(`p${n}`, group(n));
    const starts = started(plan);
    expect(starts).toHaveLength(CATCH_UP_LIMITS.pulls);
    for (const { peer, need } of starts.slice(0, 1)) plan.ended(peer, need, true, false, 0);
    expect(started(plan)).toHaveLength(1);
  });

  test('forgets a feed whose holders have all gone', () => {
    const plan = new CatchUpPlan();
    plan.want('p', group(1));
    expect(started(plan, 0, () => false)).toEqual([]);
    expect(plan.pending).toBe(0);
  });

  test('knows whether somebody else has the feed', () => {
    const plan = new CatchUpPlan();
    plan.want('p', group(1));
    const { need } = only(started(plan));
    expect(plan.hasOthers('p', need)).toBe(false);
    plan.want('q', group(1));
    expect(plan.hasOthers('p', need)).toBe(true);
  });
});
