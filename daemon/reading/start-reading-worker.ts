import { Worker } from 'node:worker_threads';
import type { StartReadingWorker } from '../../protocols/mycelium/range-reader.ts';
import { startRequestWorker } from '../request-worker.ts';

/** Starts a thread that reads ranges. It holds some frames of 1 MiB, and what was read from them. */
export const startReadingWorker: StartReadingWorker = (events) =>
  startRequestWorker(
    new Worker(new URL('./reading-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 },
    }),
    events,
    (message) => ({ message, given: [message.frame.buffer] }),
  );
