import { documentChannel } from '../open-dialog/read-op.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import type { Commits } from './commits.ts';
import { serialKeyOf } from './serial-key.ts';
import type { TaskScheduler } from './scheduler.ts';
import type { MergeGate } from './merge-gate.ts';
import type { LedgerParts } from './types.ts';

export interface MergeAgainParts {
  readonly ledger: LedgerParts;
  readonly scheduler: TaskScheduler;
  readonly commits: Commits;
  readonly gate: MergeGate;
}

/** Merges an unmerged record again: under the serial key of the record, charged to its owner. */
export async function mergeAgain(
  { ledger, scheduler, commits, gate }: MergeAgainParts,
  key: RecordKey,
): Promise<void> {
  const owner = parseRecordKey(key)?.owner;
  const channel = documentChannel(key);
  if (channel === undefined || owner === undefined || ledger.refusal() !== undefined) return;
  // Looked up only under its serial key: the worker may have been faster than the commit that leaves the record unmerged.
  await scheduler.run({ author: owner, serialKey: serialKeyOf(owner, channel) }, async (turn) => {
    const effects = commits.effects(turn, gate.for(ledger.merges));
    await effects.load([key]);
    const before = effects.state(key)?.unmerged;
    if (before === undefined) return;
    await effects.again(key);
    await effects.evaluateRemaining();
    // Still outstanding, for the same reason: nothing has changed.
    if (effects.state(key)?.unmerged === before) return;
    await commits.write({ effects, entries: [], feeds: [], local: false, sync: false }, turn);
  });
}
