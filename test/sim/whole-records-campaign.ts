import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Entry } from '../../protocols/feed/entry.ts';
import { makeForkProof } from '../../protocols/feed/fork.ts';
import { draftEdit } from '../../protocols/ledger/drafts.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { runCampaign } from '../support/campaign.ts';
import { ChangeHand } from '../support/change-hand.ts';
import { Hand, openLedger, type TestLedger } from '../support/forge.ts';
import { tempDir } from '../support/temp-dir.ts';
import { nodeOf } from '../support/vectors/signatures.ts';

/*
 * One listing of very many updates, and what makes a peer evaluate all of it again: a change that waits for what is not here, a fork that
 * takes a late change away, and one that takes the very first entries and leaves all that another epoch wrote waiting.
 */

/** Updates in one entry. */
const PER_ENTRY = 64;
/** How often memory is looked at, milliseconds. */
const LOOKED_MS = 20;

/** What one evaluation of the whole record cost: megabytes above what the process had before, milliseconds of stall and of CPU. */
export interface WholeCost {
  readonly what: string;
  readonly rssMb: number;
  readonly stallMs: number;
  readonly cpuMs: number;
}

/** Brings one listing to `count` updates, then has it evaluated whole in each of these ways. */
export async function wholeRecords(
  count: number,
  onDone: (updates: number) => void = () => undefined,
): Promise<WholeCost[]> {
  const folder = tempDir('whole-records');
  const node = await openLedger(folder.path, nodeOf(2));
  try {
    const listing = new Listing(node);
    await listing.create();
    while (listing.updates < count) onDone(await listing.take());
    // First all that comes by itself: whoever has cost much is not heard for a while, but for proofs.
    const lateFork = await listing.lateFork();
    return [
      await costOf('a change that waits', await listing.waits()),
      await costOf('a fork of a late change', lateFork),
      await costOf('a fork of the creation', listing.firstFork()),
    ];
  } finally {
    await node.close();
    folder.remove();
  }
}

type Act = () => Promise<unknown>;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Created in one epoch, updated in another. */
class Listing {
  readonly #node: TestLedger;
  readonly #owner = nodeOf(1);
  readonly #first = new Hand(this.#owner, 'a'.repeat(16));
  readonly #feed = new Hand(this.#owner, 'b'.repeat(16));
  readonly #creation = new ChangeHand(this.#first.pen, 'listings', 'maize');
  readonly #hand = new ChangeHand(this.#feed.pen, 'listings', 'maize');
  #told: ReturnType<TestLedger['verdicts']> = [];
  updates = 0;

  constructor(node: TestLedger) {
    this.#node = node;
    node.followStates.set(this.#owner.peerId, 'followed');
  }

  async create(): Promise<void> {
    const fields = { type: 'offer', status: 'active', title: 'Maize', price: 0 };
    await this.#receive(this.#first.next([this.#creation.set(fields)]));
    this.#hand.follow(await this.#state());
  }

  async take(): Promise<number> {
    const ops = Array.from({ length: PER_ENTRY }, () => this.#hand.set({ price: ++this.updates }));
    await this.#receive(this.#feed.next(ops));
    if (this.#told.some(({ fresh, verdict }) => fresh && verdict.state !== 'applied'))
      throw new Error('an update has no effect');
    return PER_ENTRY;
  }

  async waits(): Promise<Act> {
    const hand = new Hand(this.#owner, 'c'.repeat(16));
    const known = { ...(await this.#state()), heads: ['0'.repeat(64)] };
    const entry = hand.next(this.#edit(hand, known, 'waits'));
    return () => this.#receive(entry);
  }

  async lateFork(): Promise<Act> {
    const hand = new Hand(this.#owner, 'd'.repeat(16));
    const known = await this.#state();
    const [late, other] = ['one', 'other'].map((notes) => hand.sign(this.#edit(hand, known, notes)));
    if (late === undefined || other === undefined) throw new TypeError('nothing signed');
    await this.take();
    await this.#receive(late);
    return () => this.#node.ledger.receiveProof(makeForkProof(late, other).bytes);
  }

  firstFork(): Act {
    const [one, other] = ['one', 'other'].map((title) =>
      this.#first.sign([this.#creation.set({ title })], { seq: 1, prev: null }),
    );
    if (one === undefined || other === undefined) throw new TypeError('nothing signed');
    return () => this.#node.ledger.receiveProof(makeForkProof(one, other).bytes);
  }

  #edit(hand: Hand, known: RecordState, notes: string): Uint8Array[] {
    return [...draftEdit(hand.pen, this.#hand.key, 'public', known, { notes }).ops];
  }

  async #receive(entry: Entry): Promise<void> {
    const [result] = await this.#node.ledger.receive([entry.bytes]);
    if (result?.kind !== 'accept') throw new Error(`${result?.kind} ${result?.code}`);
    this.#told = this.#node.verdicts();
  }

  async #state(): Promise<RecordState> {
    const [state] = await this.#node.store.records([this.#hand.key]);
    if (state === undefined) throw new Error('the listing is gone');
    return state;
  }
}

/** What an act costs: its memory is looked at while it runs, and garbage of what came before is none of it. */
async function costOf(what: string, act: Act): Promise<WholeCost> {
  collect();
  const [before, cpu] = [process.memoryUsage.rss(), process.cpuUsage()];
  let most = before;
  const looking = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), LOOKED_MS);
  const stalls = monitorEventLoopDelay({ resolution: 1 });
  stalls.enable();
  await act();
  stalls.disable();
  clearInterval(looking);
  const { user, system } = process.cpuUsage(cpu);
  return {
    what,
    rssMb: Math.round((Math.max(most, process.memoryUsage.rss()) - before) / 1024 / 1024),
    stallMs: Math.round(stalls.max / 1e6),
    cpuMs: Math.round((user + system) / 1000),
  };
}

if (import.meta.main)
  await runCampaign('whole-records', 100_000, async ({ count, onDone }) => ({
    figures: await wholeRecords(count, onDone),
  }));
