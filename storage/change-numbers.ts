import type { Commit, RecordChange } from '../protocols/ledger/ports.ts';
import type { Turn } from '../protocols/ledger/turn.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { del, put } from './commit-rows.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import type { Level } from './level.ts';
import { draftRecord, NO_CHANGE, readRecordRow, recordRow, type RecordDraft } from './stored-record.ts';

/** Draws the numbers that order changes, and remembers those of states read or written here, so that a commit need not read them again. */
export class ChangeNumbers {
  readonly #of = new WeakMap<RecordState, number>();
  #last = 0;

  /** Goes on from the last one on disk. */
  async read(level: Level): Promise<void> {
    for await (const key of level.keys({ ...range('changes'), reverse: true, limit: 1 }))
      this.#last = Number.parseInt(innerKey(key), 16);
  }

  next(): number {
    return ++this.#last;
  }

  /** The position of a state that was read or written here; undefined for a private one. */
  of(state: RecordState): number | undefined {
    return this.#of.get(state);
  }

  /** The state in a row. */
  opened(key: string, value: Uint8Array): RecordState {
    const { state, change } = readRecordRow(key, value);
    if (change !== NO_CHANGE) this.#of.set(state, change);
    return state;
  }

  /** The row of a record that shows what it has shown: it keeps its number, and nobody reads it again. */
  restated({ key, before, after }: RecordChange): BatchOp {
    const change = (before && this.#of.get(before)) ?? NO_CHANGE;
    if (change !== NO_CHANGE) this.#of.set(after, change);
    const full = fullKey('records', key);
    return put(full, recordRow(full, draftRecord(after), change));
  }

  /**
   * Adds the rows that hold change numbers to `ops`. Private records have none: the order of changes is visible to everybody as the
   * cursor of an export, and must not move with what most may not know of.
   */
  async rows(
    { records, dropped }: Commit,
    drafts: readonly RecordDraft[],
    ops: BatchOp[],
    turn: Turn,
  ): Promise<void> {
    for (const [i, { key, before, after }] of records.entries()) {
      const previous = before && this.#of.get(before);
      if (previous !== undefined) ops.push(del(fullKey('changes', numberKey(previous, 12))));
      if (dropped?.gone.has(key) === true) {
        ops.push(del(fullKey('records', key)));
        continue;
      }
      const isPublic = after.channel === 'public';
      if (isPublic) {
        this.#last++;
        this.#of.set(after, this.#last);
        ops.push(put(fullKey('changes', numberKey(this.#last, 12)), Buffer.from(key)));
      }
      const full = fullKey('records', key);
      const draft = drafts[i];
      if (draft !== undefined) ops.push(put(full, recordRow(full, draft, isPublic ? this.#last : NO_CHANGE)));
      if (turn.isOver()) await turn.next();
    }
  }
}
