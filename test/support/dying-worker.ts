import { Worker } from 'node:worker_threads';
import { mergeWorkerOf } from '../../daemon/merging/start-merge-worker.ts';
import type { StartMergeWorker } from '../../protocols/open-dialog/merge-thread.ts';

const WORK = `
  const { parentPort } = require('node:worker_threads');
  parentPort.on('message', (message) => {
    if (!message.end) return;
    const held = [];
    for (;;) held.push(new Array(100_000).fill(held.length + 0.5));
  });
  parentPort.postMessage({ ready: true });
`;

/** A worker whose memory really ends once it has all that it was asked: it dies as one that a record is too large for. */
export const dyingWorker: StartMergeWorker = (events) =>
  mergeWorkerOf(new Worker(WORK, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 32 } }), events);
