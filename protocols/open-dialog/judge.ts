import type { RecordKey } from '../wire/ids.ts';
import { mergeChanges, visibleAt } from './merge.ts';
import type { DraftBase, Membership, PlacedOp, RecordState, Verdict } from './record.ts';
import { evaluate, runAll } from './rule.ts';
import { withValues } from './values.ts';

/** The verdict on every op of a record, and the state they give together. */
export interface Judgement {
  /** Beside the ops, in the same order. */
  readonly verdicts: readonly Verdict[];
  readonly state: RecordState;
  /** Where an actor was named and the state does not hold all. */
  readonly base: DraftBase | undefined;
  /** The counting changes, every one after those it depends on: what Automerge merges. */
  readonly changes: readonly Uint8Array[];
}

/**
 * A record by the rule and Automerge, whatever its history and at once: what a node shows when nothing is outstanding. For tests and
 * tools; it opens a document on the thread that calls it, which no daemon's main thread does.
 */
export function judge(
  key: RecordKey,
  ops: readonly PlacedOp[],
  channelMembers: Membership | undefined,
  actor?: string,
): Judgement {
  const { verdicts, outline, input, follows } = runAll(evaluate(key, ops, channelMembers, actor));
  if (input === undefined) return { verdicts, state: outline, base: undefined, changes: [] };
  const { changes } = input;
  const state = withValues(outline, mergeChanges(key, changes));
  const base =
    follows === undefined || state.rest === undefined
      ? undefined
      : { ...follows, fieldOps: visibleAt(key, changes, follows) };
  return { verdicts, state, base, changes };
}
