import { Worker } from 'node:worker_threads';
import { afterEach, expect, it } from 'vitest';
import { mergeOutstanding } from '../../../daemon/merging/outstanding-merges.ts';
import { mergeWorkerOf, startMergeWorker } from '../../../daemon/merging/start-merge-worker.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { createHook } from '../../../daemon/hooks.ts';
import { placedOps } from '../../../protocols/ledger/placed-ops.ts';
import { mergeChanges } from '../../../protocols/open-dialog/merge.ts';
import type { StartMergeWorker } from '../../../protocols/open-dialog/merge-thread.ts';
import {
  createMerger,
  type MergeAlarm,
  type Merger,
  type MergeTimes,
} from '../../../protocols/open-dialog/merger.ts';
import type { Unmerged, Values } from '../../../protocols/open-dialog/record.ts';
import { evaluate, type MergeInput, runAll } from '../../../protocols/open-dialog/rule.ts';
import type { RecordKey } from '../../../protocols/wire/ids.ts';
import { concurrentEdits } from '../../support/concurrent.ts';
import { loopLine, STRETCH_MS, watchLoop } from '../../support/loop-watch.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { waitFor } from '../../support/wait.ts';

const TIMES: MergeTimes = { waitMs: 60_000, quickMs: 60_000, patientMs: 60_000, pauseMs: 20 };
const { key: first, entries } = concurrentEdits(nodeOf(1), 'r', 40);
const { input: made } = runAll(evaluate(first, entries.flatMap(placedOps), undefined));
if (made === undefined) throw new TypeError('no changes');
const input = made;
const values = mergeChanges(first, input.changes);
const keysOf = (count: number): RecordKey[] =>
  Array.from({ length: count }, (_, i) => `${first}${i}` as RecordKey);
/** Each asker has read its own. */
const read = (): MergeInput => ({ ...input, changes: input.changes.map((change) => change.slice()) });

/** Dies at once when it has all that it was asked. */
const KILLED = `
  const { parentPort } = require('node:worker_threads');
  parentPort.on('message', (message) => { if (message.end) process.exit(1); });
  parentPort.postMessage({ ready: true });
`;
const killedWorker: StartMergeWorker = (events) => mergeWorkerOf(new Worker(KILLED, { eval: true }), events);

let merger: Merger | undefined;
afterEach(() => merger?.stop());

/** A merger whose records ask again when they are due, as a ledger does, and what each shows. */
function open(start: StartMergeWorker, more: { times?: MergeTimes; remembered?: number } = {}) {
  const alarms: MergeAlarm[] = [];
  const shown = new Map<RecordKey, Values | Unmerged>();
  const onAlarm = (alarm: MergeAlarm): void => void alarms.push(alarm);
  const made = createMerger({ env: systemEnv, start, onAlarm, times: TIMES, ...more });
  merger = made;
  const ask = async (key: RecordKey): Promise<void> => {
    shown.set(key, await made.merge(key, read()));
  };
  made.onDue((key) => void ask(key));
  const unmerged = (): RecordKey[] =>
    [...shown].flatMap(([key, what]) => (typeof what === 'string' ? key : []));
  return { made, alarms, shown, ask, unmerged };
}

it('two hundred records wait while every worker is killed: in turns, without what they are made of, and each is merged when one lives', async () => {
  let isWell = false;
  let started = 0;
  const { alarms, shown, ask, unmerged } = open((events) => {
    started++;
    return isWell ? startMergeWorker(events) : killedWorker(events);
  });
  const keys = keysOf(200);
  await ask(first);
  globalThis.gc?.();
  const figures = await watchLoop(async () => {
    for (let at = 0; at < keys.length; at += 10) await Promise.all(keys.slice(at, at + 10).map(ask));
  });
  console.info(loopLine('200 records, every worker killed', figures));
  expect(figures.cpuMs).toBeLessThan(STRETCH_MS);
  expect(unmerged()).toHaveLength(keys.length + 1);
  expect(alarms.some(({ kind }) => kind === 'merge-failed')).toBe(true);
  isWell = true;
  const before = started;
  await waitFor('all to be merged', () => unmerged().length === 0, 60_000);
  for (const key of keys) expect(shown.get(key)).toEqual(values);
  // One patient worker does them all, one after another.
  expect(started - before).toBeLessThanOrEqual(3);
}, 120_000);

it('a record that always kills its worker costs the others nothing but a turn, and comes when it does so no longer', async () => {
  const poison = `${first}poison` as RecordKey;
  let isPoison = true;
  let deaths = 0;
  const start: StartMergeWorker = (events) => {
    const worker = startMergeWorker(events);
    const poisoned = new Set<number>();
    return {
      ...worker,
      post(request) {
        if ('question' in request && request.question.key === poison) poisoned.add(request.id);
        if (!isPoison || !poisoned.has(request.id)) worker.post(request);
        else if ('end' in request) {
          deaths++;
          void worker.end();
        }
      },
    };
  };
  const { alarms, shown, ask, unmerged } = open(start);
  const others = keysOf(30);
  await Promise.all([ask(poison), ...others.map(ask)]);
  await waitFor('the others', () => others.every((key) => typeof shown.get(key) === 'object'), 60_000);
  expect(unmerged()).toEqual([poison]);
  await waitFor(
    'the alarm',
    () => alarms.some(({ kind, key }) => kind === 'merge-outstanding' && key === poison),
    60_000,
  );
  // What comes later is merged at once beside it.
  await ask(first);
  expect(shown.get(first)).toEqual(values);
  expect(alarms.filter(({ kind }) => kind === 'merge-outstanding').every(({ key }) => key === poison)).toBe(
    true,
  );
  // With each death the next try is further away.
  expect(deaths).toBeLessThan(12);
  isPoison = false;
  await waitFor('the poison', () => typeof shown.get(poison) === 'object', 60_000);
}, 120_000);

it('a stop in the middle of it ends all that wait, and starts no worker any more', async () => {
  let started = 0;
  const { made, ask, alarms } = open((events) => {
    started++;
    return killedWorker(events);
  });
  const asked = Promise.all(keysOf(50).map(ask));
  await waitFor('the first death', () => alarms.length > 0, 30_000);
  await made.stop();
  await asked;
  const [then, told] = [started, alarms.length];
  await new Promise((next) => setTimeout(next, 10 * TIMES.pauseMs));
  expect([started, alarms.length]).toEqual([then, told]);
}, 60_000);

/** What waits on disk, and a ledger that asks the merger for it unless writing is refused. */
function outstanding(made: Merger, waiting: Set<RecordKey>, refused: () => boolean) {
  const recovered = createHook<void>(() => undefined);
  const parts = {
    store: { awaiting: async () => [...waiting] },
    merger: made,
    ledger: {
      async mergeAgain(key: RecordKey): Promise<void> {
        if (refused()) return;
        if (typeof (await made.merge(key, read())) === 'object') waiting.delete(key);
      },
    },
    recovered,
    logger: { warn: () => undefined },
  };
  return { recovered, ...mergeOutstanding(parts) };
}

it('what became due while writing was refused is merged when it no longer is', async () => {
  const made = createMerger({
    env: systemEnv,
    start: startMergeWorker,
    onAlarm: () => undefined,
    times: TIMES,
  });
  merger = made;
  const waiting = new Set(keysOf(5));
  let isRefused = true;
  const { recovered, stop } = outstanding(made, waiting, () => isRefused);
  await new Promise((next) => setTimeout(next, 5 * TIMES.pauseMs));
  expect(waiting.size).toBe(5);
  isRefused = false;
  recovered.emit();
  await waitFor('the merges', () => waiting.size === 0, 30_000);
  await stop();
}, 60_000);

it('of more records than are remembered none waits for the next start', async () => {
  let isWell = false;
  const start: StartMergeWorker = (events) => (isWell ? startMergeWorker(events) : killedWorker(events));
  const times = { ...TIMES, pauseMs: 5 };
  const made = createMerger({ env: systemEnv, start, onAlarm: () => undefined, times, remembered: 4 });
  merger = made;
  const waiting = new Set(keysOf(20));
  const { stop } = outstanding(made, waiting, () => false);
  await new Promise((next) => setTimeout(next, 500));
  expect(waiting.size).toBe(20);
  isWell = true;
  await waitFor('the merges', () => waiting.size === 0, 60_000);
  await stop();
}, 120_000);
