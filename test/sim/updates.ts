import { draftEdit } from '../../protocols/ledger/drafts.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { runCampaign } from '../support/campaign.ts';
import { ChangeHand } from '../support/change-hand.ts';
import { Hand, openLedger, type TestLedger } from '../support/forge.ts';
import { tempDir } from '../support/temp-dir.ts';
import { nodeOf } from '../support/vectors/signatures.ts';

/*
 * One listing updated again and again, as a peer takes it in: what an update costs and what the record's state holds at the first
 * updates and at the last, and what a change costs that comes late, some hundred updates after what it has seen.
 */

/** Updates in one entry, as a burst shares them. */
const PER_ENTRY = 64;
/** Entries of which the median counts. */
const MEASURED = 15;
/** Entries that come between what a late change has seen and the change. */
const BETWEEN = 4;

/** Microseconds of CPU of the process, and the bytes of the state as JSON. */
export interface UpdateFigures {
  readonly at: number;
  readonly updateUs: number;
  readonly lateUs: number;
  readonly joinUs: number;
  readonly stateBytes: number;
}

/** Brings one listing to `count` updates, and measures at each power of ten from 1,000 on. */
export async function updatesCampaign(
  count: number,
  onDone: (updates: number) => void = () => undefined,
): Promise<UpdateFigures[]> {
  const folder = tempDir('updates');
  const node = await openLedger(folder.path, nodeOf(2));
  try {
    const listing = new Listing(node);
    await listing.measured(); // what is compiled on the way is nobody's cost
    const figures: UpdateFigures[] = [];
    for (let at = 1000; at <= count; at *= 10) {
      while (listing.updates < at - (MEASURED * PER_ENTRY) / 2) {
        await listing.take();
        onDone(PER_ENTRY);
      }
      const updateUs = await listing.measured();
      figures.push({ at, updateUs, ...(await listing.late(at)), stateBytes: await listing.bytes() });
    }
    return figures;
  } finally {
    await node.close();
    folder.remove();
  }
}

class Listing {
  readonly #node: TestLedger;
  readonly #owner = nodeOf(1);
  readonly #feed = new Hand(this.#owner, '0'.repeat(16));
  readonly #hand = new ChangeHand(this.#feed.pen, 'listings', 'maize');
  updates = 0;

  constructor(node: TestLedger) {
    this.#node = node;
    node.followStates.set(this.#owner.peerId, 'followed');
  }

  async take(): Promise<number> {
    const ops = Array.from({ length: PER_ENTRY }, () => {
      const price = this.updates++;
      return this.#hand.set(
        price === 0 ? { type: 'offer', status: 'active', title: 'Maize', price } : { price },
      );
    });
    return this.#receive(this.#feed.next(ops).bytes);
  }

  async #receive(bytes: Uint8Array): Promise<number> {
    const before = process.cpuUsage();
    const [result] = await this.#node.ledger.receive([bytes]);
    const { user, system } = process.cpuUsage(before);
    if (result?.kind !== 'accept') throw new Error(`refused: ${JSON.stringify(result)}`);
    if (this.#node.verdicts().some(({ verdict }) => verdict.state !== 'applied'))
      throw new Error('an update has no effect');
    return user + system;
  }

  async measured(): Promise<number> {
    const times: number[] = [];
    for (let i = 0; i < MEASURED; i++) times.push((await this.take()) / PER_ENTRY);
    return times.toSorted((a, b) => a - b)[MEASURED >> 1] ?? Number.NaN;
  }

  /** A change of another epoch that has not seen the last entries, and the one that brings all together. */
  async late(at: number): Promise<Pick<UpdateFigures, 'lateUs' | 'joinUs'>> {
    const other = new Hand(this.#owner, at.toString(16).padStart(16, 'a'));
    const edit = (notes: string, known: RecordState): Uint8Array =>
      other.next([...draftEdit(other.pen, this.#hand.key, 'public', known, { notes }).ops]).bytes;
    const seen = edit('seen late', await this.#state());
    for (let i = 0; i < BETWEEN; i++) await this.take();
    const lateUs = await this.#receive(seen);
    const joinUs = await this.#receive(edit('and all of it', await this.#state()));
    this.#hand.follow(await this.#state());
    return { lateUs, joinUs };
  }

  async bytes(): Promise<number> {
    return JSON.stringify(await this.#state()).length;
  }

  async #state(): Promise<RecordState> {
    const [state] = await this.#node.store.records([this.#hand.key]);
    if (state === undefined) throw new Error('the listing is gone');
    return state;
  }
}

if (import.meta.main)
  await runCampaign('updates', 1_000_000, async ({ count, onDone }) => ({
    figures: await updatesCampaign(count, onDone),
  }));
