import type { Channel } from '../wire/ids.ts';
import { type Change, type FieldOp, opIdText } from './change.ts';
import { genesisOf } from './genesis.ts';
import { evictActors, restOf } from './hot.ts';
import { outlastsErasure, type ReadOp, type Reading } from './read-op.ts';
import { type Membership, type OpenState, type PlacedOp, type RecordState, type Verdict } from './record.ts';
import { noteTimes } from './record-times.ts';
import type { Collection } from './schema.ts';
import { writerProblem } from './writer-rule.ts';

export const APPLIED: Verdict = { state: 'applied' };
/** Of an op of a record that an erasure has ended, whatever the op depends on. */
export const RECORD_ERASED = 'record-erased';
/** Of a change of a record that ended below its floor: there is nothing that it could follow. */
export const RECORD_ENDED = 'record-ended';

/** The state of a record without applied ops. Its times are zero: those of ops that are not applied would depend on who holds them. */
export function emptyState(key: RecordState['key'], collection: Collection, channel: Channel): RecordState {
  const document = collection.kind === 'document';
  return {
    key,
    channel,
    heads: document ? [genesisOf(collection).hash] : [],
    view: EMPTY,
    fieldOps: EMPTY,
    conflicts: EMPTY,
    seqs: EMPTY,
    maxOp: document ? genesisOf(collection).maxOp : 0,
    created: [0, 0],
    updated: [0, 0],
    tombstone: false,
    exists: false,
    pending: 0,
    ops: 0,
  };
}

const EMPTY: Readonly<Record<string, never>> = Object.freeze(Object.create(null) as Record<string, never>);

/**
 * The exact shortcut for the usual case: the op follows everything that is applied, and each field op names exactly the visible
 * values. It changes the state in place, at a cost in proportion to what the op changes. Where it cannot decide, it changes nothing
 * and returns undefined, and the record is left to the rule and to Automerge, which give the same in every case; a property test
 * shows that they are equal. `channelMembers` are those of the record whose channel a private fact belongs to.
 */
export function applyFast(
  state: OpenState,
  op: Extract<ReadOp, { reading: Reading }>,
  placed: PlacedOp,
  channelMembers: Membership | undefined,
): Verdict | undefined {
  const { reading } = op;
  if (state.erased === true && !outlastsErasure(reading)) return rejected(state, RECORD_ERASED);
  if (state.unmerged !== undefined) return undefined;
  switch (reading.kind) {
    case 'tombstone':
      count(state, placed);
      state.tombstone = true;
      return APPLIED;
    case 'erasure':
      // The erasure takes effect on the ops that are already there, and on the floor.
      if ((state.ops > 0 || state.floored === 'open') && state.erased !== true) return undefined;
      count(state, placed);
      state.erased = true;
      return APPLIED;
    case 'fact':
      return applyFact(state, reading, placed, channelMembers);
    case 'members':
      if (state.pending > 0) return undefined;
      count(state, placed);
      state.exists = true;
      state.members = reading.members;
      return APPLIED;
    case 'change':
      if (state.floored === 'ended') return rejected(state, RECORD_ENDED);
      return state.pending > 0 ? undefined : applyChange(state, op.collection, reading.change, placed);
  }
}

function applyFact(
  state: OpenState,
  reading: Extract<Reading, { kind: 'fact' }>,
  placed: PlacedOp,
  members: Membership | undefined,
): Verdict {
  if (placed.channel !== 'public') {
    if (members === undefined) {
      state.pending++;
      state.ops++;
      return { state: 'pending', code: 'channel-unknown', missing: placed.channel };
    }
    if (!members.writers.includes(placed.author)) return rejected(state, 'not-a-writer');
  }
  count(state, placed);
  state.exists = true;
  state.heads = [reading.hash];
  state.view = { ...reading.fields };
  return APPLIED;
}

/** Before anything else of a counting op: times are the earliest and latest of what counts, whatever the order of arrival. */
export function count(state: OpenState, placed: PlacedOp): void {
  const any = state.exists || state.tombstone || state.erased === true;
  state.ops++;
  noteTimes(state, !any, placed);
}

export function rejected(state: OpenState, code: string): Verdict {
  state.ops++;
  return { state: 'rejected', code };
}

function applyChange(
  state: OpenState,
  collection: Collection,
  change: Change & { readonly hash: string },
  placed: PlacedOp,
): Verdict | undefined {
  const { heads, seqs, rest } = state;
  if (rest?.heads !== undefined || change.deps.length !== heads.length) return undefined;
  if (!change.deps.every((dep, i) => dep === heads[i])) return undefined;
  const isPublic = placed.channel === 'public';
  if (!isPublic && state.members === undefined) return undefined;
  const known = seqs[change.actor];
  // An actor that is not in the state may be one of the others.
  if (known === undefined && rest?.actors !== undefined) return undefined;
  // It follows all that counts, so these are the verdicts of the whole evaluation.
  const isFree = state.floored !== undefined && (known?.[0] ?? 0) === 0;
  const problem =
    (isPublic ? undefined : writerProblem(collection, state.members, placed.author, change)) ??
    (isFree || change.seq === (known?.[0] ?? 0) + 1 ? undefined : 'seq-wrong') ??
    (change.startOp === state.maxOp + 1 ? undefined : 'start-op-wrong');
  if (problem !== undefined) return rejected(state, problem);
  for (const op of change.ops) if (!replacesAll(state, op)) return undefined;
  count(state, placed);
  if (isPublic) state.exists = true;
  write(state, change);
  return APPLIED;
}

/** Whether a field op names exactly what is visible. */
function replacesAll({ fieldOps, rest }: OpenState, { action, field, pred }: FieldOp): boolean {
  const visible = fieldOps[field] ?? [];
  if (action === 'del' && visible.length === 0) return false;
  if (pred.length !== visible.length || rest?.values?.[field] !== undefined) return false;
  return pred.every((id) => visible.includes(opIdText(id)));
}

function write(state: OpenState, change: Change & { readonly hash: string }): void {
  let counter = change.startOp;
  for (const { action, field, value } of change.ops) {
    delete state.conflicts[field];
    if (action === 'set') {
      state.view[field] = value ?? null;
      state.fieldOps[field] = [`${counter}@${change.actor}`];
    } else {
      delete state.view[field];
      delete state.fieldOps[field];
    }
    counter++;
  }
  state.heads = [change.hash];
  state.maxOp = counter - 1;
  state.seqs[change.actor] = [change.seq, state.maxOp];
  const evicted = evictActors(state.seqs);
  if (evicted === 0) return;
  const { rest } = state;
  const next = restOf(rest?.heads, (rest?.actors ?? 0) + evicted, rest?.values ?? {});
  if (next !== undefined) state.rest = next;
}
