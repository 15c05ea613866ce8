import { Worker } from 'node:worker_threads';
import { afterEach, expect, it } from 'vitest';
import { placedOps } from '../../../protocols/ledger/placed-ops.ts';
import { mergeChanges } from '../../../protocols/open-dialog/merge.ts';
import { mergeWorkerOf, startMergeWorker } from '../../../daemon/merging/start-merge-worker.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import type { MergeWorker, StartMergeWorker } from '../../../protocols/open-dialog/merge-thread.ts';
import {
  createMerger,
  type MergeAlarm,
  type Merger,
  type MergeTimes,
} from '../../../protocols/open-dialog/merger.ts';
import { evaluate, type MergeInput, runAll } from '../../../protocols/open-dialog/rule.ts';
import type { RecordKey } from '../../../protocols/wire/ids.ts';
import { concurrentEdits } from '../../support/concurrent.ts';
import { dyingWorker } from '../../support/dying-worker.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const TIMES: MergeTimes = { waitMs: 60_000, quickMs: 60_000, patientMs: 60_000, pauseMs: 20 };
/** Of a record that a worker needs a good moment for. */
const { key, entries } = concurrentEdits(nodeOf(1), 'big', 600);
const ops = entries.flatMap(placedOps);
const inputOf = (some: typeof ops): MergeInput => {
  const { input } = runAll(evaluate(key, some, undefined));
  if (input === undefined) throw new TypeError('no changes');
  return input;
};
const input = inputOf(ops);
const values = mergeChanges(key, input.changes);

/** Says that it is there, and nothing more. */
const idleWorker = threadOf(
  `const { parentPort } = require('node:worker_threads'); parentPort.on('message', () => {}); parentPort.postMessage({ ready: true });`,
);

/** Never says that it is there. */
const silentWorker = threadOf('setInterval(() => {}, 1000)');

function threadOf(source: string): StartMergeWorker {
  return (events) => mergeWorkerOf(new Worker(source, { eval: true }), events);
}

let merger: Merger | undefined;
afterEach(() => merger?.stop());

function open(
  start: StartMergeWorker,
  times = TIMES,
): { merger: Merger; alarms: MergeAlarm[]; due: () => Promise<RecordKey> } {
  const alarms: MergeAlarm[] = [];
  const made = createMerger({ env: systemEnv, start, onAlarm: (alarm) => alarms.push(alarm), times });
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

it('a worker that is ended at its work is replaced, and the answer is that of Automerge', async () => {
  const workers: MergeWorker[] = [];
  const { merger, alarms } = open((events) => {
    const isFirst = workers.length === 0;
    const worker = startMergeWorker({
      ...events,
      answer(answer) {
        events.answer(answer);
        // Once it has begun: its first message says that it is there, and the ops follow.
        if (isFirst && 'ready' in answer) setImmediate(() => void worker.end());
      },
    });
    workers.push(worker);
    return worker;
  });
  const answer = await merger.merge(key, input);
  expect(answer).toEqual(values);
  expect(workers).toHaveLength(2);
  expect(alarms).toEqual([{ kind: 'merge-failed', key }]);
});

it('when every worker dies the work waits, is tried again with pauses, and never comes to the main thread', async () => {
  let isWell = false;
  let started = 0;
  const { merger, alarms, due } = open((events) => {
    started++;
    return isWell ? startMergeWorker(events) : dyingWorker(events);
  });
  const before = process.threadCpuUsage();
  expect(await merger.merge(key, input)).toBe('failed');
  for (let i = 0; i < 3; i++) {
    // The ledger asks again when it is told to, and not before.
    expect(await due()).toBe(key);
    expect(await merger.merge(key, input)).toBe('failed');
  }
  const spent = process.threadCpuUsage(before);
  expect(alarms.map(({ kind }) => kind)).toContain('merge-outstanding');
  // In its pause nothing is started for it, whatever comes.
  await due();
  const tries = started;
  isWell = true;
  expect(await merger.merge(key, input)).toBe('failed');
  expect(await due()).toBe(key);
  expect(await merger.merge(key, input)).toEqual(values);
  expect(started).toBe(tries + 1);
  // What is asked of other ops is not answered with that of these.
  const some = inputOf(ops.slice(0, 9));
  expect(await merger.merge(key, some)).toEqual(mergeChanges(key, some.changes));
  // Eight deaths cost less than one merge here would.
  const merging = process.threadCpuUsage();
  mergeChanges(key, input.changes);
  const one = process.threadCpuUsage(merging);
  console.info(
    `main thread: ${Math.round((spent.user + spent.system) / 1000)} ms, one merge ${Math.round((one.user + one.system) / 1000)} ms`,
  );
}, 60_000);

it('a record that takes longer than its time is outstanding, and then known', async () => {
  let started = 0;
  // The first one is there and never answers: no machine is fast enough to be in time.
  const { merger, alarms, due } = open(
    (events) => (started++ === 0 ? idleWorker(events) : startMergeWorker(events)),
    { ...TIMES, quickMs: 1 },
  );
  expect(await merger.merge(key, input)).toBe('deadline');
  expect(alarms).toEqual([{ kind: 'merge-deadline', key }]);
  expect(await due()).toBe(key);
  expect(await merger.merge(key, input)).toEqual(values);
  // It is not tried quickly again: nobody waits for it.
  expect(await merger.merge(key, inputOf(ops.slice(0, -1)))).toBe('in-progress');
  expect(alarms).toHaveLength(1);
}, 60_000);

it('nobody waits for a worker that does not answer: neither who asks first nor who asks of another record', async () => {
  const { merger } = open(silentWorker, { ...TIMES, waitMs: 30 });
  expect(await merger.merge(key, input)).toBe('in-progress');
  const before = process.hrtime.bigint();
  const others = Array.from({ length: 100 }, (_, i) => `listings/${i}` as RecordKey);
  for (const other of others) expect(await merger.merge(other, input)).toBe('in-progress');
  // A hundred waits would be three seconds.
  expect(Number(process.hrtime.bigint() - before) / 1e6).toBeLessThan(1000);
});

it('what took too long for whoever asked is there when it is asked for again', async () => {
  const { merger, due, alarms } = open(startMergeWorker, { ...TIMES, waitMs: 1 });
  expect(await merger.merge(key, input)).toBe('in-progress');
  expect(await due()).toBe(key);
  expect(await merger.merge(key, input)).toEqual(values);
  expect(alarms).toEqual([]);
}, 60_000);

it('who was only put off while a merge was late does not wait behind those that need patience', async () => {
  let started = 0;
  // The second is the patient one, and never says that it is there.
  const { merger, due } = open(
    (events) => (++started === 1 ? startMergeWorker(events) : silentWorker(events)),
    { ...TIMES, waitMs: 1 },
  );
  expect(await merger.merge(key, input)).toBe('in-progress');
  const [heavy, honest] = [`${key}2`, `${key}3`] as RecordKey[];
  if (heavy === undefined || honest === undefined) throw new TypeError('two keys');
  expect(await merger.merge(heavy, input)).toBe('in-progress');
  expect(await merger.merge(honest, input)).toBe('in-progress');
  for (;;) {
    const next = await due();
    const answer = await merger.merge(next, input);
    if (next === honest && typeof answer === 'object') {
      expect(answer).toEqual(values);
      break;
    }
  }
}, 30_000);
