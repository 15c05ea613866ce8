import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { evaluateRecord } from '../../../protocols/open-dialog/rule.ts';
import type { PlacedOp } from '../../../protocols/open-dialog/record.ts';
import type { FeedOps } from '../../../protocols/open-dialog/record-walk.ts';
import { ChangeHand } from '../../support/change-hand.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

/** Changes of the record, and what is kept of each at most while it is judged: a tenth of what the changes are read into. */
const CHANGES = 50_000;
const BYTES = 400;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const held = (): number => {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

it('of a long record that is evaluated whole some numbers are kept, and no op', () => {
  const author = nodeOf(1).peerId;
  const epoch = '0'.repeat(16);
  const hand = new ChangeHand({ author, epoch }, 'listings', 'maize');
  const opAt = (at: number): PlacedOp => {
    const fields = at === 0 ? { type: 'offer', status: 'active', title: 'Maize' } : {};
    const bytes = hand.set({ ...fields, notes: `${at}`.padStart(500, 'x') });
    return { author, channel: 'public', epoch, seq: at + 1, index: 0, bytes, time: [at, 0] };
  };
  const feed: FeedOps = { author, channel: 'public', epoch, from: 0, to: CHANGES };
  const before = held();
  const shown = new Map<number, PlacedOp>();
  const work = evaluateRecord(hand.key, [feed], undefined);
  for (let step = work.next(), asked = 0; ;) {
    if (step.done === true) {
      const { outline, values, verdictOf } = step.value;
      const most = held() - before;
      expect(outline).toMatchObject({ ops: CHANGES, pending: 0, exists: true });
      expect(values?.view['notes']).toBe(`${CHANGES - 1}`.padStart(500, 'x'));
      expect([verdictOf(0), verdictOf(CHANGES - 1)]).toEqual([{ state: 'applied' }, { state: 'applied' }]);
      console.info(`${Math.round(most / CHANGES)} bytes for each of ${CHANGES} changes`);
      expect(most).toBeLessThan(CHANGES * BYTES + 40 * 1024 * 1024);
      break;
    }
    // In order, each once; then those that are shown.
    const isNew = step.value === asked;
    if (isNew) shown.set(asked === 0 ? 0 : CHANGES - 1, opAt(asked++));
    const op = isNew ? shown.get(asked === 1 ? 0 : CHANGES - 1) : shown.get(step.value ?? -1);
    expect(op === undefined).toBe(step.value === undefined);
    step = work.next(op);
  }
}, 60_000);
