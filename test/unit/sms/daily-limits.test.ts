import { expect, it } from 'vitest';
import { counted, type DailyCount, nextSummary } from '../../../daemon/sms/daily-limits.ts';
import { SMS_LIMITS } from '../../../daemon/sms/limits.ts';
import { seededRandom } from '../../support/random.ts';

const { dayMs, summaryMs } = SMS_LIMITS;
const NOON = 20_000 * dayMs;
const LIMITS = { perUser: 8, perNode: 2 };

/** The states of SMS that are wanted one after the other. */
function statesOf(
  wanted: readonly (readonly [due: number, otherNode?: string, isOfDeal?: boolean])[],
  limits = LIMITS,
): string[] {
  let count: DailyCount | undefined;
  return wanted.map(([due, otherNode, isOfDeal = false]) => {
    const next = counted(count, { due, otherNode, isOfDeal }, limits);
    count = next.count;
    return next.state;
  });
}

it('one other node causes as many as its limit, all of them half of the user’s, and with the own node all of it', () => {
  const wanted = [
    'a',
    'a',
    'a',
    'b',
    'b',
    'b',
    'c',
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ].map((node, i) => [NOON + i, ...(node === undefined ? [] : [node])] as [number, string?]);
  expect(statesOf(wanted)).toEqual([
    'queued',
    'queued',
    'node-limit',
    'queued',
    'queued',
    'node-limit',
    'stranger-limit',
    'queued',
    'queued',
    'queued',
    'queued',
    'daily-limit',
  ]);
});

it('a deal is heard of beyond what strangers may cause, also those of its node, up to the limits of node and user', () => {
  const strangers = ['a', 'a', 'b', 'b', 'a', 'c'].map((node, i) => [NOON + i, node] as const);
  const deals = ['a', 'a', 'a', 'c', 'd', 'e'].map((node, i) => [NOON + 10 + i, node, true] as const);
  expect(statesOf([...strangers, ...deals])).toEqual([
    'queued',
    'queued',
    'queued',
    'queued',
    'node-limit',
    'stranger-limit',
    'queued',
    'queued',
    'node-limit',
    'queued',
    'queued',
    'daily-limit',
  ]);
});

it('the users of the own node are not bound by the limit of other nodes', () => {
  expect(statesOf(Array.from({ length: 9 }, () => [NOON] as const))).toEqual([
    ...Array.from({ length: 8 }, () => 'queued'),
    'daily-limit',
  ]);
});

it('a new day begins a day after the first SMS, and not because the clock was set back', () => {
  const limits = { perUser: 1, perNode: 1 };
  expect(statesOf([[NOON, 'a']], limits)).toEqual(['stranger-limit']);
  expect(statesOf([[NOON], [NOON + dayMs - 1], [NOON + dayMs]], limits)).toEqual([
    'queued',
    'daily-limit',
    'queued',
  ]);
  expect(statesOf([[NOON], [NOON - dayMs + 1]], limits)).toEqual(['queued', 'daily-limit']);
  // Counted by a clock that was days ahead: it does not keep everything back until then.
  expect(statesOf([[NOON + 9 * dayMs], [NOON]], limits)).toEqual(['queued', 'queued']);
});

it('none at all where a limit is 0', () => {
  expect(statesOf([[NOON], [NOON, 'a']], { perUser: 0, perNode: 5 })).toEqual(['daily-limit', 'daily-limit']);
  expect(statesOf([[NOON], [NOON, 'a']], { perUser: 5, perNode: 0 })).toEqual(['queued', 'node-limit']);
});

it('of a flood from many nodes no day has more than the limits, whatever the order [1,000 floods]', () => {
  for (let seed = 1; seed <= 1000; seed++) {
    const random = seededRandom(seed);
    const days = new Map<number, { sent: number; ofStrangers: number; byNode: Map<string, number> }>();
    let count: DailyCount | undefined;
    let due = NOON;
    for (let n = 0; n < 40; n++) {
      due += Math.floor(random() * 4 * summaryMs);
      const otherNode = random() < 0.2 ? undefined : `node ${Math.floor(random() * 4)}`;
      const isOfDeal = random() < 0.2;
      const { state, count: after } = counted(count, { due, otherNode, isOfDeal }, LIMITS);
      count = after;
      if (state !== 'queued') continue;
      const day = days.get(count.since) ?? { sent: 0, ofStrangers: 0, byNode: new Map() };
      days.set(count.since, day);
      day.sent++;
      if (otherNode === undefined) continue;
      if (!isOfDeal) day.ofStrangers++;
      const name = `${otherNode} ${isOfDeal}`;
      day.byNode.set(name, (day.byNode.get(name) ?? 0) + 1);
    }
    const begins = [...days.keys()].toSorted((a, b) => a - b);
    for (const [i, begin] of begins.entries())
      if (i > 0) expect(begin - (begins[i - 1] ?? 0), `seed ${seed}`).toBeGreaterThanOrEqual(dayMs);
    for (const { sent, ofStrangers, byNode } of days.values()) {
      expect(sent, `seed ${seed}`).toBeLessThanOrEqual(LIMITS.perUser);
      expect(ofStrangers, `seed ${seed}`).toBeLessThanOrEqual(LIMITS.perUser / 2);
      expect(Math.max(0, ...byNode.values()), `seed ${seed}`).toBeLessThanOrEqual(LIMITS.perNode);
    }
  }
});

it('a summary follows each notice without an SMS, at least a day after the one before', () => {
  const none = { since: NOON, sent: 5, byNode: {} };
  expect(nextSummary(none, NOON)).toBe(NOON + summaryMs);
  const planned = { ...none, summaryAt: NOON + summaryMs };
  expect(nextSummary(planned, NOON + summaryMs / 2)).toBeUndefined();
  // It may be being written.
  expect(nextSummary(planned, NOON + summaryMs - 1)).toBe(NOON + summaryMs + dayMs);
  expect(nextSummary(planned, NOON + summaryMs + 1)).toBe(NOON + summaryMs + dayMs);
  const later = { ...none, summaryAt: NOON + summaryMs + dayMs };
  expect(nextSummary(later, NOON + 2 * summaryMs)).toBeUndefined();
  expect(nextSummary(planned, NOON + 3 * dayMs)).toBe(NOON + 3 * dayMs + summaryMs);
  // Planned by a clock that was days ahead.
  expect(nextSummary({ ...none, summaryAt: NOON + 9 * dayMs }, NOON)).toBe(NOON + summaryMs);
});
