import { parentPort } from 'node:worker_threads';
import { RangeReadings, type ReadingRequest } from '../../protocols/mycelium/range-readings.ts';
import { threadPool } from '../thread-pool.ts';

/** The thread of a reading worker: it reports that it is ready, and answers. */
const readings = new RangeReadings(threadPool);

async function answer(request: ReadingRequest): Promise<void> {
  const told = await readings.answer(request);
  parentPort?.postMessage(told, 'batch' in told ? [told.batch.bytes.buffer] : []);
}

parentPort?.on('message', (request: ReadingRequest) => void answer(request));
parentPort?.postMessage({ ready: true });
