import type { RecordKey } from '../../protocols/wire/ids.ts';
import { mergeChanges } from '../../protocols/open-dialog/merge.ts';
import type {
  DraftBase,
  Membership,
  PlacedOp,
  RecordState,
  Verdict,
} from '../../protocols/open-dialog/record.ts';
import type { Floor } from '../../protocols/open-dialog/floor.ts';
import { evaluate, runAll } from '../../protocols/open-dialog/rule.ts';
import type { FieldOps } from '../../protocols/open-dialog/field-values.ts';
import type { Follows } from '../../protocols/open-dialog/history-types.ts';
import { withValues } from '../../protocols/open-dialog/values.ts';

/** The verdict on every op of a record, and the state they give together. */
export interface WholeEvaluation {
  /** Beside the ops, in the same order. */
  readonly verdicts: readonly Verdict[];
  readonly state: RecordState;
  /** Where an actor was named and the state does not hold all. */
  readonly base: DraftBase | undefined;
  /** The counting changes, every one after those it depends on: what Automerge merges. */
  readonly changes: readonly Uint8Array[];
  /** Where an actor was named: what its next change follows, and the writes that it names. */
  readonly follows: Follows | undefined;
  readonly visible: FieldOps | undefined;
}

/**
 * A record by the rule and Automerge, whatever its history and at once: what a node shows when nothing is outstanding. It opens a document on the thread that calls it, which no daemon's main thread does.
 */
export function evaluateWhole(
  key: RecordKey,
  ops: readonly PlacedOp[],
  channelMembers: Membership | undefined,
  actor?: string,
  floor?: Floor,
): WholeEvaluation {
  const { verdicts, outline, input, follows, visible } = runAll(
    evaluate(key, ops, channelMembers, { actor, floor }),
  );
  if (input === undefined)
    return { verdicts, state: outline, base: undefined, changes: [], follows, visible };
  const { changes } = input;
  const state = withValues(outline, mergeChanges(key, changes, input.floor));
  const base =
    follows === undefined || visible === undefined || state.rest === undefined
      ? undefined
      : { ...follows, fieldOps: visible };
  return { verdicts, state, base, changes, follows, visible };
}
