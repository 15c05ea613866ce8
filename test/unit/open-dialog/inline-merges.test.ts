import { expect, it } from 'vitest';
import type { Env, Timer } from '../../../protocols/env.ts';
import { placedOps } from '../../../protocols/ledger/placed-ops.ts';
import { mergeChanges } from '../../../protocols/open-dialog/merge.ts';
import { evaluate, runAll } from '../../../protocols/open-dialog/rule.ts';
import { concurrentEdits } from '../../support/concurrent.ts';
import { createInlineMerges } from '../../support/inline-merges.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const { key, entries } = concurrentEdits(nodeOf(1), 'inline', 20);
const { input } = runAll(evaluate(key, entries.flatMap(placedOps), undefined));

/** Time goes on to the next timer as soon as nothing else is left to do. */
function heldEnv(): Pick<Env, 'monotonic' | 'after'> {
  let at = 0;
  const timers = new Map<Timer, { readonly due: number; readonly call: () => void }>();
  const next = (): void => {
    const [first] = [...timers].sort(([, a], [, b]) => a.due - b.due);
    if (first === undefined) return;
    const [timer, { due, call }] = first;
    timers.delete(timer);
    at = due;
    call();
  };
  return {
    monotonic: () => at,
    after(ms, call) {
      const timer = { cancel: () => void timers.delete(timer) };
      timers.set(timer, { due: at + ms, call });
      setImmediate(next);
      return timer;
    },
  };
}

it('merges without a thread, early, late or never by the time that it is given', async () => {
  if (input === undefined) throw new TypeError('no changes');
  const values = mergeChanges(key, input.changes);
  const env = heldEnv();
  let delay = 0;
  const alarms: string[] = [];
  const merger = createInlineMerges(env, { onAlarm: ({ kind }) => alarms.push(kind), delay: () => delay });
  const due: string[] = [];
  merger.onDue((which) => due.push(which));
  expect(await merger.merge(key, input)).toEqual(values);
  expect(due).toEqual([]);
  delay = 2_000;
  expect(await merger.merge(key, input)).toBe('in-progress');
  while (due.length === 0) await new Promise((resolve) => setImmediate(resolve));
  expect(await merger.merge(key, input)).toEqual(values);
  expect(env.monotonic()).toBe(2_000);
  delay = 50_000;
  expect(await merger.merge(key, input)).toBe('in-progress');
  while (alarms.length === 0) await new Promise((resolve) => setImmediate(resolve));
  expect(alarms).toEqual(['merge-deadline']);
  await merger.stop();
});
