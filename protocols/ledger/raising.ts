import { pause } from '../env.ts';
import { errorCode } from '../errors.ts';
import type { OpenWork } from '../open-work.ts';
import { collectionOf } from '../open-dialog/schema.ts';
import type { PeerId } from '../wire/identity.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { Commits } from './commits.ts';
import type { Effects } from './effects.ts';
import type { MergeGate } from './merge-gate.ts';
import type { OwnEpoch } from './own-epoch.ts';
import type { FloorsToCome } from './ports.ts';
import type { TaskScheduler } from './scheduler.ts';
import { serialKeyOf } from './serial-key.ts';
import type { Turn } from './turn.ts';
import type { LedgerParts } from './types.ts';

export interface RaisingParts {
  readonly ledger: LedgerParts;
  readonly scheduler: TaskScheduler;
  readonly commits: Commits;
  readonly gate: MergeGate;
  readonly epoch: OwnEpoch;
  readonly open: Pick<OpenWork, 'note' | 'isClosed'>;
}

/** Records looked at in one commit. */
const RECORDS_AT_ONCE = 256;
/** After a batch that failed, milliseconds. */
const AGAIN_MS = 1000;

/**
 * Has a checkpoint take effect whose floors are stored: its owner's records begin above it from then on, some in each commit and in the
 * order of floors. Each is read as it was or as it is to be; how far this is stands in the same batch, and the next start goes on. It
 * does not ask where the floors are from.
 */
export class Raising {
  readonly #parts: RaisingParts;
  readonly #underWay = new Map<PeerId, Promise<void>>();

  constructor(parts: RaisingParts) {
    this.#parts = parts;
  }

  /** Resolves when all records are above it, or when what is stored of it cannot be read; at once where there is none. */
  raise(owner: PeerId): Promise<void> {
    const known = this.#underWay.get(owner);
    if (known !== undefined) return known;
    const raised = this.#run(owner).finally(() => this.#underWay.delete(owner));
    this.#underWay.set(owner, raised);
    return raised;
  }

  /** What the last process has begun. */
  resume(): void {
    for (const owner of this.#parts.ledger.store.comingFloors())
      void this.#parts.open.note(this.raise(owner));
  }

  async #run(owner: PeerId): Promise<void> {
    const { ledger, open, epoch } = this.#parts;
    for (let isFirst = true; !open.isClosed; isFirst = false) {
      try {
        const isMore = await this.#some(owner, () => {
          // What is written from now on builds on nothing that only the covered entries tell: its sequences are right upon either.
          if (isFirst && owner === ledger.identity.peerId) epoch.renew();
        });
        if (!isMore) return;
      } catch (error) {
        // Whoever makes it anew begins over.
        if (errorCode(error) === 'value-damaged') return;
        await pause(ledger.env, AGAIN_MS);
      }
    }
  }

  /** The next records; whether there may be more. `begin` is called while nobody else has the feed. */
  #some(owner: PeerId, begin: () => void): Promise<boolean> {
    const { ledger, scheduler, commits, gate } = this.#parts;
    const { store } = ledger;
    const place = { author: owner, serialKey: serialKeyOf(owner, 'public') };
    return scheduler.run(place, async (turn) => {
      const to = store.floorsToCome(owner);
      if (to === undefined) return false;
      begin();
      const keys = await to.keys(to.upTo, RECORDS_AT_ONCE);
      const effects = commits.effects(turn, gate.for(ledger.merges));
      await effects.load(keys);
      for (const key of keys) await raiseOne(effects, key, to, turn);
      await effects.evaluateRemaining();
      const isMore = keys.length === RECORDS_AT_ONCE;
      const floors = { owner, upTo: isMore ? keys.at(-1) : undefined };
      await commits.write({ effects, entries: [], feeds: [], floors, local: false, sync: false }, turn);
      return isMore;
    });
  }
}

/** A fact whose op has effect stays as it is, and so does what nothing has changed since the floor that it has. */
async function raiseOne(effects: Effects, key: RecordKey, to: FloorsToCome, turn: Turn): Promise<void> {
  if (turn.isOver()) await turn.next();
  const state = effects.state(key);
  if (state !== undefined && state.channel !== 'public') return;
  const isFact = collectionOf(key)?.kind === 'fact';
  const hasOps = state !== undefined && state.ops > 0;
  const stays = hasOps ? isFact : state !== undefined && (await to.isAsNow(key));
  if (!stays) await effects.raise(key, to);
}
