import { systemEnv } from '../../daemon/system-env.ts';
import type { Env } from '../../protocols/env.ts';
import {
  READING_LIMITS,
  type StartReadingWorker,
  RangeReader,
} from '../../protocols/mycelium/range-reader.ts';
import { RangeReadings, type Reading, type ReadingRequest } from '../../protocols/mycelium/range-readings.ts';
import { inlineOffload } from './inline-offload.ts';
import { inlineWorker } from './inline-worker.ts';

/** A reading worker on the thread that starts it: what it answers is copied as if it went to another. */
export function inlineReadingWorker(env: Pick<Env, 'after'>): StartReadingWorker {
  return inlineWorker<ReadingRequest, Reading>(env, () => {
    const readings = new RangeReadings(inlineOffload);
    return async (request) => structuredClone(await readings.answer(request));
  });
}

/** Reads every frame so, however small. */
export function inlineReader(env: Pick<Env, 'after' | 'offload'> = systemEnv): RangeReader {
  return new RangeReader({
    env,
    start: inlineReadingWorker(env),
    limits: { ...READING_LIMITS, smallFrame: 0 },
  });
}
