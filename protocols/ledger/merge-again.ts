import { documentChannel } from '../open-dialog/read-op.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import type { Commits } from './commits.ts';
import { laneOf } from './lane-of.ts';
import type { Lanes } from './lanes.ts';
import type { MergeGate } from './merge-gate.ts';
import type { LedgerParts } from './types.ts';

export interface MergeAgainParts {
  readonly ledger: LedgerParts;
  readonly lanes: Lanes;
  readonly commits: Commits;
  readonly gate: MergeGate;
}

/** Merges an unmerged record again: in the lane of the record, charged to its owner like anything that is done for its sake. */
export async function mergeAgain(
  { ledger, lanes, commits, gate }: MergeAgainParts,
  key: RecordKey,
): Promise<void> {
  const owner = parseRecordKey(key)?.owner;
  const channel = documentChannel(key);
  if (channel === undefined || owner === undefined || ledger.refusal() !== undefined) return;
  // Looked at in its lane alone: the worker may have been faster than the commit that leaves the record unmerged.
  await lanes.run({ author: owner, lane: laneOf(owner, channel) }, async (turn) => {
    const effects = commits.effects(turn, gate.for(ledger.merges));
    await effects.load([key]);
    const before = effects.state(key)?.unmerged;
    if (before === undefined) return;
    await effects.again(key);
    await effects.settle();
    // Still outstanding, for the same reason: nothing has changed.
    if (effects.state(key)?.unmerged === before) return;
    await commits.write({ effects, entries: [], feeds: [], local: false, sync: false }, turn);
  });
}
