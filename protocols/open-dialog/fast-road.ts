import { compareTimes } from '../feed/clock.ts';
import type { Channel } from '../wire/ids.ts';
import type { Change, OpId, Scalar } from './change.ts';
import { genesisOf } from './genesis.ts';
import type { ReadOp, Reading } from './read-op.ts';
import type { FieldValue, Membership, PlacedOp, RecordState, Verdict } from './record.ts';
import type { Collection } from './schema.ts';
import { writerProblem } from './writer-rule.ts';

/** What one op does to its record. */
export interface Effect {
  readonly verdict: Verdict;
  readonly state: RecordState;
}

export const COUNTS: Verdict = { state: 'counts' };

/** The state of a record of which nothing counts. Its times are zero: those of what does not count would depend on who held it. */
export function emptyState(key: RecordState['key'], collection: Collection, channel: Channel): RecordState {
  const document = collection.kind === 'document';
  return {
    key,
    channel,
    heads: document ? [genesisOf(collection).hash] : [],
    view: EMPTY,
    fieldOps: EMPTY_OPS,
    conflicts: EMPTY_CONFLICTS,
    seqs: {},
    maxOp: document ? genesisOf(collection).maxOp : 0,
    created: [0, 0],
    updated: [0, 0],
    tombstone: false,
    exists: false,
    waiting: 0,
    ops: 0,
  };
}

const EMPTY: Readonly<Record<string, Scalar>> = Object.freeze(Object.create(null) as Record<string, Scalar>);
const EMPTY_OPS: Readonly<Record<string, readonly string[]>> = Object.freeze(
  Object.create(null) as Record<string, string[]>,
);
const EMPTY_CONFLICTS: Readonly<Record<string, readonly FieldValue[]>> = Object.freeze(
  Object.create(null) as Record<string, FieldValue[]>,
);

export const opIdText = (id: OpId): string => `${id.counter}@${id.actor}`;

/**
 * The exact shortcut for what is nearly always the case: the op comes right after everything that counts, and each field
 * op names just the values that are visible. Undefined sends the record to `judge`, which gives the same result
 * for every case; a property test holds the two together.
 * `channelMembers` are those of the record whose channel a private fact stands in.
 */
export function applyFast(
  known: RecordState | undefined,
  op: Extract<ReadOp, { reading: Reading }>,
  placed: PlacedOp,
  channelMembers: Membership | undefined,
): Effect | undefined {
  const state = known ?? emptyState(op.key, op.collection, placed.channel);
  const { reading } = op;
  switch (reading.kind) {
    case 'tombstone':
      return { verdict: COUNTS, state: counted(known, state, placed, { tombstone: true }) };
    case 'fact':
      return applyFact(known, state, reading, placed, channelMembers);
    case 'members':
      if (state.waiting > 0) return undefined;
      return {
        verdict: COUNTS,
        state: counted(known, state, placed, { exists: true, members: reading.members }),
      };
    case 'change': {
      if (state.waiting > 0) return undefined;
      const next = applyChange(state, reading.change);
      if (next === undefined) return undefined;
      if (placed.channel === 'public') next.exists = true;
      else if (writerProblem(op.collection, state.members, placed.author, reading.change) !== undefined)
        return undefined;
      return { verdict: COUNTS, state: counted(known, state, placed, next) };
    }
  }
}

function applyFact(
  known: RecordState | undefined,
  state: RecordState,
  reading: Extract<Reading, { kind: 'fact' }>,
  placed: PlacedOp,
  members: Membership | undefined,
): Effect {
  if (placed.channel !== 'public') {
    if (members === undefined) {
      const verdict: Verdict = { state: 'waits', code: 'channel-unknown', lacks: placed.channel };
      return { verdict, state: { ...state, waiting: state.waiting + 1, ops: state.ops + 1 } };
    }
    if (!members.writers.includes(placed.author)) {
      return { verdict: { state: 'void', code: 'not-a-writer' }, state: { ...state, ops: state.ops + 1 } };
    }
  }
  const patch = { exists: true, heads: [reading.hash], view: reading.fields };
  return { verdict: COUNTS, state: counted(known, state, placed, patch) };
}

/** The state after a counting op: times are the earliest and latest of what counts, whatever the order of arrival. */
function counted(
  known: RecordState | undefined,
  state: RecordState,
  placed: PlacedOp,
  patch: Partial<RecordState>,
): RecordState {
  const any = known !== undefined && (known.exists || known.tombstone);
  return {
    ...state,
    ...patch,
    ops: state.ops + 1,
    created: any && compareTimes(state.created, placed.time) < 0 ? state.created : placed.time,
    updated: any && compareTimes(state.updated, placed.time) > 0 ? state.updated : placed.time,
  };
}

type Patch = { -readonly [K in keyof RecordState]?: RecordState[K] };

function applyChange(state: RecordState, change: Change & { readonly hash: string }): Patch | undefined {
  const { heads, seqs } = state;
  if (change.deps.length !== heads.length || !change.deps.every((dep, i) => dep === heads[i]))
    return undefined;
  if (change.seq !== (seqs[change.actor] ?? 0) + 1 || change.startOp !== state.maxOp + 1) return undefined;
  const view = Object.assign(Object.create(null) as Record<string, Scalar>, state.view);
  const fieldOps = Object.assign(Object.create(null) as Record<string, readonly string[]>, state.fieldOps);
  let conflicts = state.conflicts;
  let counter = change.startOp;
  for (const { action, field, value, pred } of change.ops) {
    const visible = fieldOps[field] ?? [];
    if (pred.length !== visible.length) return undefined;
    for (const id of pred) if (!visible.includes(opIdText(id))) return undefined;
    if (field in conflicts) {
      const left = Object.assign(Object.create(null) as Record<string, readonly FieldValue[]>, conflicts);
      delete left[field];
      conflicts = left;
    }
    if (action === 'set') {
      view[field] = value ?? null;
      fieldOps[field] = [`${counter}@${change.actor}`];
    } else {
      if (visible.length === 0) return undefined;
      delete view[field];
      delete fieldOps[field];
    }
    counter++;
  }
  return {
    heads: [change.hash],
    view,
    fieldOps,
    conflicts,
    seqs: { ...seqs, [change.actor]: change.seq },
    maxOp: counter - 1,
  };
}
