import { pause } from '../env.ts';
import { errorCode } from '../errors.ts';
import type { OpenWork } from '../open-work.ts';
import { TURNED } from '../open-dialog/record.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import type { Commits } from './commits.ts';
import { FACTS_AT_ONCE } from './effects.ts';
import type { MergeGate } from './merge-gate.ts';
import type { TaskScheduler } from './scheduler.ts';
import { serialKeyOf } from './serial-key.ts';
import type { LedgerParts } from './types.ts';

export interface ChannelFactsParts {
  readonly ledger: LedgerParts;
  readonly scheduler: TaskScheduler;
  readonly commits: Commits;
  readonly gate: MergeGate;
  readonly open: Pick<OpenWork, 'note' | 'isClosed'>;
}

/** After a batch that failed, milliseconds. */
const AGAIN_MS = 1000;

/**
 * Evaluates again what stands in private channels whose creation has come or gone, where that is more than belongs into one commit: in batches,
 * each a task of its own. Facts do not depend on one another, so others may come between. A row on disk says that it is under way, and
 * the next start begins it anew.
 */
export class ChannelFacts {
  readonly #parts: ChannelFactsParts;
  /** Under way; true where the creation has come or gone again since. */
  readonly #channels = new Map<RecordKey, boolean>();

  constructor(parts: ChannelFactsParts) {
    this.#parts = parts;
  }

  /** Resolves when it is done; at once where it is under way already. */
  async begin(channel: RecordKey): Promise<void> {
    const isUnderWay = this.#channels.has(channel);
    this.#channels.set(channel, isUnderWay);
    if (!isUnderWay) await this.#parts.open.note(this.#run(channel));
  }

  /** What the last process has left. */
  resume(): void {
    void this.#parts.open.note(this.#resume());
  }

  async #resume(): Promise<void> {
    const channels = await this.#parts.ledger.store.awaiting(TURNED);
    await Promise.all(channels.map((channel) => this.begin(channel)));
  }

  async #run(channel: RecordKey): Promise<void> {
    const { ledger, open } = this.#parts;
    for (let after: RecordKey | undefined; !open.isClosed;) {
      try {
        const last = await this.#some(channel, after);
        if (last === undefined) return;
        after = last === 'again' ? undefined : last;
      } catch (error) {
        // What cannot be read a rebuild makes anew.
        if (errorCode(error) === 'value-damaged') break;
        await pause(ledger.env, AGAIN_MS);
      }
    }
    this.#channels.delete(channel);
  }

  /** The next batch; the last key of it, or undefined when it was the last one. */
  #some(channel: RecordKey, after: RecordKey | undefined): Promise<RecordKey | 'again' | undefined> {
    const { ledger, scheduler, commits, gate } = this.#parts;
    const author = parseRecordKey(channel)?.owner ?? ledger.identity.peerId;
    return scheduler.run({ author, serialKey: serialKeyOf(author, channel) }, async (turn) => {
      const keys = await ledger.store.awaiting(channel, { after, limit: FACTS_AT_ONCE });
      const effects = commits.effects(turn, gate.for(ledger.merges));
      await effects.load([channel]);
      for (const key of keys) {
        if (turn.isOver()) await turn.next();
        await effects.again(key);
      }
      await effects.evaluateRemaining();
      const isLast = keys.length < FACTS_AT_ONCE;
      const isAgain = isLast && this.#channels.get(channel) === true;
      if (isAgain) this.#channels.set(channel, false);
      else if (isLast) this.#channels.delete(channel);
      const done = isLast && !isAgain ? { evaluated: channel } : {};
      await commits.write({ effects, entries: [], feeds: [], ...done, local: false, sync: false }, turn);
      return isAgain ? 'again' : isLast ? undefined : keys.at(-1);
    });
  }
}
