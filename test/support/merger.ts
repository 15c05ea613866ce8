import { systemEnv } from '../../daemon/system-env.ts';
import { startMergeWorker } from '../../daemon/merging/start-merge-worker.ts';
import { createMerger, type MergeAlarm, type Merger } from '../../protocols/open-dialog/merger.ts';

/** A merger as a daemon has it, its workers on threads of their own. */
export function threadedMerger(onAlarm: (alarm: MergeAlarm) => void = () => undefined): Merger {
  return createMerger({ env: systemEnv, start: startMergeWorker, onAlarm });
}
