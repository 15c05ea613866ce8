import type { Entry } from '../feed/entry.ts';
import { makeForkProof } from '../feed/fork.ts';
import { isKept } from '../feed/gap.ts';
import type { PeerId } from '../wire/identity.ts';
import { LIMITS } from '../wire/limits.ts';
import type { Commits } from './commits.ts';
import type { Effects } from './effects.ts';
import type { Forks } from './forks.ts';
import { Intake, type IntakeParts, unreadable } from './intake.ts';
import { serialKeyOf } from './serial-key.ts';
import type { TaskScheduler } from './scheduler.ts';
import type { MergeGate } from './merge-gate.ts';
import type { OwnEpoch } from './own-epoch.ts';
import type { LedgerStore } from './ports.ts';
import { readEntry, type ReadEntry } from './read-entry.ts';
import type { Turn } from './turn.ts';
import type { FeedName, Received } from './types.ts';

export interface ReceiverParts extends IntakeParts {
  readonly scheduler: TaskScheduler;
  readonly commits: Commits;
  readonly forks: Forks;
  readonly epoch: OwnEpoch;
  readonly gate: MergeGate;
}

/** Nothing after a rejected entry is processed: it may be a million of the same. */
const BEHIND: Received = { kind: 'ignore', code: 'behind-rejected' };

/** Entries of one author and channel, and where their results belong. */
interface Group {
  readonly author: PeerId;
  readonly serialKey: string;
  readonly items: { readonly at: number; readonly read: ReadEntry }[];
}

/** Entries of others: read on the sender's account, admitted and applied on the author's. */
export class Receiver {
  readonly #parts: ReceiverParts;
  readonly #startedAt: number;

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
    this.#startedAt = parts.ledger.env.now();
  }

  /** Results are in the order of the list. Entries of one author and channel share a commit; `from` is the peer that sent them. */
  async receive(
    list: readonly (Uint8Array | ReadEntry)[],
    only: Partial<FeedName>,
    from: string,
  ): Promise<Received[]> {
    const { scheduler, ledger } = this.#parts;
    const refusal = ledger.refusal();
    if (refusal !== undefined) return list.map(() => ({ kind: 'ignore', code: refusal.code }));
    const results: Received[] = [];
    const groups = await scheduler.run({ author: `from ${from}` }, (turn) =>
      readAll(list, only, results, turn),
    );
    await Promise.all(
      groups.map((group) => scheduler.run(group, (turn) => this.#take(group, results, turn))),
    );
    return list.map((_, at) => results[at] ?? BEHIND);
  }

  async #take({ author, items }: Group, results: Received[], turn: Turn): Promise<void> {
    const left = [...items];
    const written: Promise<void>[] = [];
    try {
      while (left.length > 0) written.push(...(await this.#takeSome(author, left, results, turn)));
    } finally {
      await turn.away(() => Promise.all(written));
    }
  }

  /**
   * Hands over one commit: the first of `left`, as much as one entry may hold, so that nobody waits longer for a batch than for an
   * entry. Returns a promise that resolves when it is written.
   */
  async #takeSome(
    author: PeerId,
    left: Group['items'],
    results: Received[],
    turn: Turn,
  ): Promise<Promise<void>[]> {
    const { ledger, commits, forks, gate, budgets } = this.#parts;
    const before = turn.usedMs();
    const merges = gate.for(ledger.merges);
    const effects = commits.effects(turn, merges);
    const intake = new Intake(this.#parts, turn);
    let ops = 0;
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const result = await intake.admit(next.read);
      results[next.at] = result;
      if (result.kind === 'reject') left.length = 0;
      if (turn.isOver()) await turn.next();
      if (result.kind !== 'accept' || result.entry === undefined) continue;
      await effects.takeEntry(result.entry, missingOps(ledger.store, result.entry), next.read.op);
      ops += result.entry.header.n;
      if (ops >= LIMITS.entryOps) break;
    }
    const written: Promise<void>[] = [];
    if (ops > 0) {
      written.push((await this.#handOver(intake, effects, turn)).written);
      budgets.charge(author, ops, turn.usedMs() - before + merges.ms);
    }
    for (const { entry, held } of intake.forks) await forks.take(makeForkProof(entry, held), turn);
    return written;
  }

  async #handOver(
    intake: Intake,
    effects: Effects,
    turn: Turn,
  ): Promise<{ readonly written: Promise<void> }> {
    await effects.evaluateRemaining();
    const { accepted: entries } = intake;
    const [feeds, erasures] = [[...intake.feeds.values()], [...intake.erasures.values()]];
    // Before they can be seen: what is written here in answer to them is later, whatever becomes of this batch.
    for (const { entry } of entries) this.#parts.ledger.clock.observe(entry.header.time);
    const write = { effects, entries, feeds, erasures, local: false, sync: false };
    const { written } = await this.#parts.commits.handOver(write, turn);
    const told = written.then(() => {
      for (const { entry } of entries) this.#accepted(entry);
    });
    told.catch(() => undefined); // told to whoever brought them
    return { written: told };
  }

  #accepted({ author, header }: Entry): void {
    const { ledger, epoch } = this.#parts;
    if (author !== ledger.identity.peerId) return;
    const mine = header.epoch === epoch.id;
    const kind = mine || header.time[0] > this.#startedAt ? 'own-key-elsewhere' : 'own-entries-returned';
    ledger.onAlarm({ kind, epoch: header.epoch });
    if (mine) epoch.renew();
  }
}

/** Reads entries and groups them by author and channel; an entry that cannot be grouped gets its result at once and ends the list. */
async function readAll(
  list: readonly (Uint8Array | ReadEntry)[],
  only: Partial<FeedName>,
  results: Received[],
  turn: Turn,
): Promise<Group[]> {
  const groups = new Map<string, Group>();
  for (const [at, given] of list.entries()) {
    if (turn.isOver()) await turn.next();
    let read: ReadEntry;
    try {
      read = given instanceof Uint8Array ? readEntry(given) : given;
    } catch (error) {
      results[at] = unreadable(error);
      break;
    }
    const { entry } = read;
    const { author, header } = entry;
    const { author: wanted = author, channel = header.channel } = only;
    if (wanted !== author || channel !== header.channel) {
      const code = only.author === undefined ? 'channel-private' : 'not-asked-for';
      results[at] = { kind: 'reject', code, entry };
      break;
    }
    const id = `${author}|${header.channel}`;
    const group = groups.get(id) ?? { author, serialKey: serialKeyOf(author, header.channel), items: [] };
    group.items.push({ at, read });
    groups.set(id, group);
  }
  return [...groups.values()];
}

/** Of an entry that comes again after it was forgotten, ops that were kept have had their effect all along. */
function missingOps(store: LedgerStore, { author, header }: Entry): (index: number) => boolean {
  const feed = store.feed(author, header.channel, header.epoch);
  const gap = feed && store.gap(feed.no);
  return (index) => !isKept(gap, header.seq, index);
}
