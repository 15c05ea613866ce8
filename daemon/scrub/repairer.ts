import { AgrinetError, errorMessage } from '../../protocols/errors.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import { innerKey } from '../../storage/keyspace.ts';
import {
  checkEntry,
  type Checked,
  type CheckParts,
  checkPointer,
  checkRecord,
  type PointerTable,
  type Wrong,
} from './check-rows.ts';
import type { Phase } from './pass.ts';
import type { ScrubParts } from './scrub.ts';

/** Checks rows; what seems wrong is checked again between two commits, and repaired there. */
export class Repairer {
  readonly #parts: ScrubParts & Pick<CheckParts, 'opsOfRecord'>;
  /** A mere check draws no numbers: a commit may be drawing them at the same time. */
  readonly #looking: CheckParts;
  readonly #found: (wrong: Wrong, repaired: boolean) => void;
  readonly #tooLong: (key: RecordKey) => void;

  constructor(
    parts: ScrubParts & Pick<CheckParts, 'opsOfRecord'>,
    found: (wrong: Wrong, repaired: boolean) => void,
    tooLong: (key: RecordKey) => void,
  ) {
    const { store } = parts;
    this.#parts = parts;
    this.#found = found;
    this.#tooLong = tooLong;
    this.#looking = {
      ...parts,
      store: {
        feed: (author, channel, epoch) => store.feed(author, channel, epoch),
        feedNumbered: (no) => store.feedNumbered(no),
        entry: (no, seq) => store.entry(no, seq),
        gap: (no) => store.gap(no),
        floor: (key) => store.floor(key),
        coverOf: (key, feed) => store.coverOf(key, feed),
        nextChange: () => 0,
      },
    };
  }

  async key(phase: Phase, key: string): Promise<void> {
    if (phase === 'entries') await this.entry(key);
    else if (phase === 'records') await this.record(innerKey(key) as RecordKey);
    else if (phase !== 'feeds' && phase !== 'digests' && phase !== 'search' && phase !== 'attachments')
      await this.#check((at) => checkPointer(at, phase satisfies PointerTable, key));
  }

  async entry(key: string): Promise<void> {
    await this.#check((at) => checkEntry(at, key));
  }

  async record(key: RecordKey): Promise<void> {
    await this.#check(async (at) => {
      const checked = await checkRecord(at, key);
      if (checked.tooLong) this.#tooLong(key);
      return checked;
    });
  }

  async #check(check: (at: CheckParts) => Promise<Checked>): Promise<void> {
    try {
      const seen = await check(this.#looking);
      if (seen.wrong.length === 0 && seen.again.length === 0) return;
      await this.#parts.alone(async () => {
        const records = new Set<RecordKey>();
        const first = await this.#repair(await check(this.#parts));
        for (const key of first) records.add(key);
        for (const key of records)
          for (const next of await this.#repair(await checkRecord(this.#parts, key))) records.add(next);
      });
    } catch (error) {
      if (!(error instanceof AgrinetError) || error.code !== 'value-damaged') throw error;
      this.#found({ table: 'entries', kind: 'damaged', key: errorMessage(error) }, false);
    }
  }

  async #repair(checked: Checked): Promise<RecordKey[]> {
    if (checked.repairs.length > 0) await this.#parts.db.batch([...checked.repairs], true);
    for (const wrong of checked.wrong) this.#found(wrong, true);
    if (checked.states.length > 0) this.#parts.onRepaired(checked.states);
    return checked.again;
  }
}
