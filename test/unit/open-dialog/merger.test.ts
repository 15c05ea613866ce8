import type { Worker } from 'node:worker_threads';
import { afterEach, expect, it } from 'vitest';
import { placedOps } from '../../../protocols/ledger/placed-ops.ts';
import { judge } from '../../../protocols/open-dialog/judge.ts';
import { startWorker, type StartWorker } from '../../../protocols/open-dialog/merge-thread.ts';
import {
  createMerger,
  type MergeAlarm,
  type Merger,
  type MergeTimes,
} from '../../../protocols/open-dialog/merger.ts';
import type { RecordKey } from '../../../protocols/wire/ids.ts';
import { concurrentEdits } from '../../support/concurrent.ts';
import { dyingWorker } from '../../support/dying-worker.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const TIMES: MergeTimes = { quickMs: 60_000, patientMs: 60_000, pauseMs: 20 };
/** Of a record that a worker needs a good moment for. */
const { key, entries } = concurrentEdits(nodeOf(1), 'big', 600);
const ops = entries.flatMap(placedOps);

let merger: Merger | undefined;
afterEach(() => merger?.stop());

function open(
  start: StartWorker,
  times = TIMES,
): { merger: Merger; alarms: MergeAlarm[]; due: () => Promise<RecordKey> } {
  const alarms: MergeAlarm[] = [];
  const made = createMerger((alarm) => alarms.push(alarm), start, times);
  merger = made;
  const waiting: ((key: RecordKey) => void)[] = [];
  const told: RecordKey[] = [];
  made.onDue((which) => {
    const next = waiting.shift();
    if (next === undefined) told.push(which);
    else next(which);
  });
  const due = (): Promise<RecordKey> => {
    const known = told.shift();
    return known === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(known);
  };
  return { merger: made, alarms, due };
}

it('a worker that is ended at its work is replaced, and the answer is that of the judge', async () => {
  const workers: Worker[] = [];
  const { merger, alarms } = open(() => {
    const worker = startWorker();
    // Once it has begun: its first message says that it is there, and the ops follow.
    if (workers.length === 0) worker.once('message', () => setImmediate(() => void worker.terminate()));
    workers.push(worker);
    return worker;
  });
  const answer = await merger.judge(key, ops, undefined);
  const { changes: _, ...whole } = judge(key, ops, undefined);
  expect(answer).toEqual(whole);
  expect(workers).toHaveLength(2);
  expect(alarms).toEqual([{ kind: 'merge-failed', key }]);
});

it('when every worker dies the work waits, is tried again with pauses, and never comes to the main thread', async () => {
  let isWell = false;
  let started = 0;
  const { merger, alarms, due } = open(() => {
    started++;
    return isWell ? startWorker() : dyingWorker();
  });
  const before = process.threadCpuUsage();
  expect(await merger.judge(key, ops, undefined)).toBeUndefined();
  for (let i = 0; i < 3; i++) {
    // The ledger asks again when it is told to, and not before.
    expect(await due()).toBe(key);
    expect(await merger.judge(key, ops, undefined)).toBeUndefined();
  }
  const spent = process.threadCpuUsage(before);
  expect(alarms.map(({ kind }) => kind)).toContain('merge-outstanding');
  // In its pause nothing is started for it, whatever comes.
  await due();
  const tries = started;
  isWell = true;
  expect(await merger.judge(key, ops, undefined)).toBeUndefined();
  expect(await due()).toBe(key);
  const { changes: _, ...whole } = judge(key, ops, undefined);
  expect(await merger.judge(key, ops, undefined)).toEqual(whole);
  expect(started).toBe(tries + 1);
  // What is asked of other ops is not answered with that of these.
  expect((await merger.judge(key, ops.slice(0, 9), undefined))?.state.ops).toBe(9);
  // Eight deaths cost less than one judgement here would.
  const judging = process.threadCpuUsage();
  judge(key, ops, undefined);
  const one = process.threadCpuUsage(judging);
  console.info(
    `main thread: ${Math.round((spent.user + spent.system) / 1000)} ms, one judgement ${Math.round((one.user + one.system) / 1000)} ms`,
  );
}, 60_000);

it('a record that takes longer than anybody waits is outstanding, and then known', async () => {
  const { merger, alarms, due } = open(startWorker, { ...TIMES, quickMs: 1 });
  expect(await merger.judge(key, ops, undefined)).toBeUndefined();
  expect(alarms).toEqual([{ kind: 'merge-deadline', key }]);
  expect(await due()).toBe(key);
  expect((await merger.judge(key, ops, undefined))?.state.ops).toBe(ops.length);
  // It is not tried quickly again: nobody waits for it.
  const asked = performance.now();
  expect(await merger.judge(key, ops.slice(1), undefined)).toBeUndefined();
  expect(performance.now() - asked).toBeLessThan(1000);
  expect(alarms).toHaveLength(1);
}, 60_000);
