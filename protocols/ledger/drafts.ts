import { AgrinetError } from '../errors.ts';
import { CHECKPOINTS } from '../feed/checkpoint.ts';
import { type ErasureStatement, signErasure } from '../feed/erasure.ts';
import { encodeOp } from '../feed/op.ts';
import { type FieldOp, opIdOf, type Scalar, sealChange } from '../open-dialog/change.ts';
import { emptyState } from '../open-dialog/fast-path.ts';
import { contentId, encodeMembership } from '../open-dialog/membership.ts';
import { actorOf, type ReadOp } from '../open-dialog/read-op.ts';
import type { DraftBase, Membership, OpenState, RecordState } from '../open-dialog/record.ts';
import { COLLECTIONS, type Collection, fieldRule, valueProblem } from '../open-dialog/schema.ts';
import { sha256 } from '../wire/bytes.ts';
import { encodeCbor } from '../wire/cbor.ts';
import type { Identity, PeerId } from '../wire/identity.ts';
import { type Channel, parseRecordKey, recordKey, type RecordKey } from '../wire/ids.ts';
import { withoutPersonalText } from '../wire/personal.ts';

/** Fields to set; `undefined` deletes. */
export type Patch = Readonly<Record<string, Scalar | undefined>>;

/** Ops of one local write, drafted on the current record. */
export interface Draft {
  readonly key: RecordKey;
  readonly channel: Channel;
  /** Ops in order; none when nothing would change. */
  readonly ops: readonly Uint8Array[];
  /** The result of `readOp` for a single op, where it was known before the op was encoded. */
  readonly read?: ReadOp;
}

/** Thrown by `draftEdit` where the state does not hold enough: the ledger has the record evaluated whole and drafts again. */
export const RECORD_PARTIAL = 'record-partial';

export function recordMerging(): AgrinetError {
  return new AgrinetError(
    'record-merging',
    'concurrent changes to this record are still being merged; try again in a moment',
  );
}

/** The author and the epoch of a write. */
export interface Writer {
  readonly author: PeerId;
  readonly epoch: string;
}

export function collectionNamed(name: string): Collection {
  const collection = COLLECTIONS[name];
  if (collection === undefined)
    throw new AgrinetError('collection-unknown', `there is no collection ${name}`);
  return collection;
}

/** All that is wrong with a patch, one sentence a field. */
export function patchProblems(collection: Collection, patch: Patch): string[] {
  const problems: string[] = [];
  for (const [field, value] of Object.entries(patch)) {
    const rule = fieldRule(collection, field);
    if (rule === undefined) problems.push(`${field}: not a field of ${collection.name}`);
    else if (value === undefined) {
      if (collection.required.includes(field)) problems.push(`${field}: required, cannot be removed`);
    } else {
      const problem = valueProblem(rule, value);
      if (problem !== undefined) problems.push(`${field}: ${problem}`);
    }
  }
  return problems;
}

function refuse(problems: string[]): void {
  if (problems.length > 0)
    throw new AgrinetError('fields-invalid', problems.join('; '), { details: { problems } });
}

/** User input without fields named like an e-mail address, telephone or password, in any JSON: nothing signed ever contains one. */
function withoutPersonalFields(patch: Patch): Patch {
  let cleaned: Record<string, Scalar | undefined> | undefined;
  for (const [field, value] of Object.entries(patch)) {
    const kept = typeof value === 'string' ? withoutPersonalText(value) : value;
    if (kept !== value) (cleaned ??= { ...patch })[field] = kept;
  }
  return cleaned ?? patch;
}

/** A fact; throws `fields-invalid`. Its key is the hash of its bytes: the same fact twice is one record. */
export function draftFact(
  writer: Writer,
  collectionName: string,
  given: Patch,
  channel: Channel = 'public',
): Draft {
  const fields = withoutPersonalFields(given);
  const collection = collectionNamed(collectionName);
  const present: Record<string, Scalar> = {};
  for (const [field, value] of Object.entries(fields)) if (value !== undefined) present[field] = value;
  const missing = collection.required
    .filter((field) => !Object.hasOwn(present, field))
    .map((field) => `${field}: required`);
  refuse([...missing, ...patchProblems(collection, fields)]);
  const d = encodeCbor(present);
  const id = contentId(sha256(d), channel);
  const key = recordKey(collection.name, writer.author, id);
  const draft = { key, channel, ops: [encodeOp({ v: 1, c: collection.name, k: '', t: 'fact', d })] };
  if (collection.kind !== 'fact' || channel !== 'public' || collection.channels === 'private') return draft;
  return {
    ...draft,
    read: { key, collection, reading: { kind: 'fact', fields: inOrder(present), hash: id } },
  };
}

/** The fields of a fact as its bytes give them: in their order, and without a minus zero. */
function inOrder(fields: Readonly<Record<string, Scalar>>): Record<string, Scalar> {
  const sorted: Record<string, Scalar> = Object.create(null) as Record<string, Scalar>;
  // Names of fields are ASCII: the order of their text is that of their bytes.
  const names = Object.keys(fields).sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  for (const name of names) sorted[name] = fields[name] === 0 ? 0 : (fields[name] ?? null);
  return sorted;
}

/**
 * Creates or edits a document: only fields whose value changes, or that are in conflict, become ops. Throws `fields-invalid`,
 * `record-ended` (a tombstone or an erasure ends a record permanently), `record-merging`, and to the ledger `RECORD_PARTIAL`.
 */
export function draftEdit(
  writer: Writer,
  key: RecordKey,
  channel: Channel,
  known: RecordState | undefined,
  given: Patch,
): Draft {
  const patch = withoutPersonalFields(given);
  const parts = parseRecordKey(key);
  if (parts === undefined) throw new AgrinetError('key-malformed', `${key} is not a record key`);
  const collection = collectionNamed(parts.collection);
  if (known?.tombstone === true || known?.erased === true)
    throw new AgrinetError('record-ended', 'this record was deleted; create a new one');
  refuse(patchProblems(collection, patch));
  if (known?.unmerged !== undefined) throw recordMerging();
  const state: OpenState | RecordState = known ?? emptyState(key, collection, channel);
  const creates = channel === 'public' && !state.exists;
  if (creates) refuse(collection.required.filter((f) => patch[f] === undefined).map((f) => `${f}: required`));
  const actor = actorOf(writer.author, writer.epoch, key);
  const { heads, fieldOps, seq: last } = baseOf(state, actor, Object.keys(patch));
  const ops: FieldOp[] = [];
  for (const [field, value] of Object.entries(patch)) {
    const pred = (fieldOps[field] ?? []).map(opIdOf);
    if (value === undefined) {
      if (pred.length > 0) ops.push({ action: 'del', field, pred });
    } else if ((state.fieldOps[field]?.length ?? 0) !== 1 || state.view[field] !== value)
      ops.push({ action: 'set', field, value, pred });
  }
  if (ops.length === 0 && !creates) return { key, channel, ops: [] };
  const change = { actor, seq: last + 1, startOp: state.maxOp + 1, time: 0, deps: heads, ops };
  const { bytes: d, hash } = sealChange(change);
  const k = `${parts.owner}/${parts.id}`;
  const encoded = encodeOp({ v: 1, c: collection.name, k, t: creates ? 'create' : 'delta', d });
  const draft = { key, channel, ops: [encoded] };
  // Whose record it is and in which channel is checked by the rule, from the bytes.
  if (channel !== 'public' || collection.channels !== 'public' || parts.owner !== writer.author) return draft;
  return {
    ...draft,
    read: { key, collection, reading: { kind: 'change', change: { ...change, hash }, creates } },
  };
}

/** What a change follows: all heads, or, for a record with more than its state holds, what `Effects.whole` has found. */
function baseOf(state: OpenState | RecordState, actor: string, fields: readonly string[]): DraftBase {
  const base = 'base' in state ? state.base : undefined;
  if (base?.actor === actor) return base;
  const { heads, fieldOps, seqs, rest } = state;
  const isWhole =
    rest === undefined ||
    (rest.heads === undefined &&
      (rest.actors === undefined || seqs[actor] !== undefined) &&
      !fields.some((field) => rest.values?.[field] !== undefined));
  if (!isWhole)
    throw new AgrinetError(RECORD_PARTIAL, 'the state does not hold what this change replaces', {
      details: { key: state.key, actor },
    });
  return { actor, heads, fieldOps, seq: seqs[actor]?.[0] ?? 0 };
}

/** The creation of a private record; its channel is its own key. The same members and `nonce` (16 bytes, random unless it is to be found again) make the same record. */
export function draftPrivate(
  writer: Pick<Writer, 'author'>,
  collectionName: string,
  members: Omit<Membership, 'owner'>,
  nonce: Uint8Array,
): Draft {
  const d = encodeMembership({ owner: writer.author, ...members }, nonce);
  const key = recordKey(collectionNamed(collectionName).name, writer.author, contentId(sha256(d)));
  return { key, channel: key, ops: [encodeOp({ v: 1, c: collectionName, k: '', t: 'create', d })] };
}

/** Ends a public record of this node's own. */
export function draftTombstone(key: RecordKey, channel: Channel): Draft {
  const parts = parseRecordKey(key);
  if (parts === undefined) throw new AgrinetError('key-malformed', `${key} is not a record key`);
  const op = { v: 1, c: parts.collection, k: `${parts.owner}/${parts.id}`, t: 'tombstone', d: NONE };
  return { key, channel, ops: [encodeOp(op)] };
}

/** Takes ops out of entries of this node's own, one op for each statement. */
export function draftErasure(
  identity: Identity,
  channel: Channel,
  statements: readonly ErasureStatement[],
): Draft {
  const first = statements[0];
  if (first === undefined)
    throw new AgrinetError('erasure-malformed', 'an erasure must name something to erase');
  const c = parseRecordKey(first.record)?.collection ?? '';
  const ops = statements.map((statement) =>
    encodeOp({ v: 1, c, k: '', t: 'erase', d: signErasure(identity, statement) }),
  );
  return { key: channel === 'public' ? first.record : channel, channel, ops };
}

/** A checkpoint that this node has signed. It is of no record; its key stands for it among what was written. */
export function draftCheckpoint(author: PeerId, signed: Uint8Array): Draft {
  const op = { v: 1, c: CHECKPOINTS, k: '', t: 'checkpoint', d: signed };
  const key = recordKey(CHECKPOINTS, author, contentId(sha256(signed)));
  return { key, channel: 'public', ops: [encodeOp(op)] };
}

const NONE = new Uint8Array(0);
