import { actorOf, readOp } from '../open-dialog/read-op.ts';
import type { Change } from '../open-dialog/change.ts';
import type { PastChange } from '../open-dialog/late-change.ts';
import type { PlacedOp } from '../open-dialog/record.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { Covered, LedgerStore, OpPlace, PastRow } from './ports.ts';
import type { Turn } from './turn.ts';

/** Thrown where the past of a record is not known well enough to evaluate by it; then the record is evaluated whole. */
export class PastUnknown extends Error {}

/** An applied change of a record with its content. */
export interface KnownChange {
  readonly past: PastChange;
  readonly change: Change & { readonly hash: string };
}

/** Rows read together. */
const AT_ONCE = 64;
/** Ranges of a feed that are recorded separately. */
const STRETCHES = 32;
/** Rows of what does not count that are passed over in search of a change. */
const PASSED = 256;

/**
 * The applied changes of one record, found without reading all of them: by hash, by an op of theirs, or backwards from the newest of
 * a feed. What was read in search of a hash is stored, so no op is read twice. Throws `PastUnknown` where a change has no number
 * because the record was evaluated completely when it was applied.
 */
export class RecordPast {
  readonly #store: LedgerStore;
  readonly #key: RecordKey;
  readonly #turn: Turn;
  /** Changes applied by this commit, which no row contains yet. */
  readonly #fresh: KnownChange[] = [];
  #feeds: Map<string, number> | undefined;

  constructor(store: LedgerStore, key: RecordKey, turn: Turn) {
    this.#store = store;
    this.#key = key;
    this.#turn = turn;
  }

  add(known: KnownChange): void {
    this.#fresh.push(known);
  }

  /** The change of this hash; undefined when none that is applied has it. */
  async byHash(hash: string): Promise<PastChange | undefined> {
    const fresh = this.#fresh.findLast(({ change }) => change.hash === hash);
    if (fresh !== undefined) return fresh.past;
    return (await this.#kept(hash)) ?? (await this.#walkTo(hash));
  }

  /** The change that has the op of this id. */
  async byOp(actor: string, counter: number): Promise<KnownChange | undefined> {
    const has = ({ past, change }: KnownChange): boolean =>
      past.actor === actor && past.startOp <= counter && counter < past.startOp + change.ops.length;
    const fresh = this.#fresh.find(has);
    if (fresh !== undefined) return fresh;
    const no = (await this.#feedsByActor()).get(actor);
    const found = no === undefined ? undefined : await this.#lastFrom(no, counter);
    return found !== undefined && has(found) ? found : undefined;
  }

  /** The changes of an actor, newest first. */
  async *back(actor: string): AsyncGenerator<KnownChange> {
    for (const known of this.#fresh.toReversed()) if (known.past.actor === actor) yield known;
    const no = (await this.#feedsByActor()).get(actor);
    if (no === undefined) return;
    let passed = 0;
    for await (const place of this.#places(no, undefined, undefined)) {
      const known = await this.#changeAt(no, place);
      if (known === undefined && ++passed > PASSED) throw new PastUnknown();
      if (known !== undefined) yield known;
    }
  }

  async #kept(hash: string): Promise<PastChange | undefined> {
    return (await this.#store.past(this.#key, [hash]))[0];
  }

  async #feedsByActor(): Promise<Map<string, number>> {
    this.#feeds ??= new Map(
      (await this.#store.opFeeds(this.#key)).map(({ author, epoch, no }) => [
        actorOf(author, epoch, this.#key),
        no,
      ]),
    );
    return this.#feeds;
  }

  /** Places of a feed, newest first, below one and down to another. */
  async *#places(
    no: number,
    below: OpPlace | undefined,
    above: OpPlace | undefined,
  ): AsyncGenerator<OpPlace> {
    for (let from = below; ;) {
      const some = await this.#store.opPlaces(this.#key, no, { below: from, above, reverse: true }, AT_ONCE);
      for (const place of some) {
        if (this.#turn.isOver()) await this.#turn.next();
        yield place;
      }
      from = some.at(-1);
      if (some.length < AT_ONCE || from === undefined) return;
    }
  }

  /** The applied change at a place; undefined where there is none. */
  async #changeAt(no: number, place: OpPlace): Promise<KnownChange | undefined> {
    const placed = await this.#store.opAt(this.#key, no, place);
    return placed && this.#known(place, placed, await this.#isListed(placed));
  }

  /** `isListed`: it is rejected or pending, whatever it was once. */
  async #known(place: OpPlace, placed: PlacedOp, isListed: boolean): Promise<KnownChange | undefined> {
    const isCovered = placed.seq <= this.#store.coverOf(this.#key, placed);
    const read = isListed || isCovered ? undefined : readOp(placed);
    if (read === undefined || 'problem' in read || read.reading.kind !== 'change') return undefined;
    const { change } = read.reading;
    if (place.no !== undefined) return { change, past: pastOf(change, place.no) };
    const past = await this.#kept(change.hash);
    if (past === undefined) throw new PastUnknown();
    return { change, past };
  }

  async #isListed(placed: PlacedOp): Promise<boolean> {
    return (await this.#store.listed([placed]))[0] === true;
  }

  /** The last change of a feed that begins at or before an op counter. */
  async #lastFrom(no: number, counter: number): Promise<KnownChange | undefined> {
    const [top] = await this.#store.opPlaces(this.#key, no, { reverse: true }, 1);
    let [low, high] = [0, top?.seq ?? 0];
    let found: KnownChange | undefined;
    let at: OpPlace | undefined;
    while (low <= high) {
      const middle = Math.floor((low + high) / 2);
      const next = await this.#next(no, { seq: middle, index: -1 });
      if (next === undefined || next.known.past.startOp > counter) high = middle - 1;
      else {
        found = next.known;
        at = next.place;
        low = Math.max(middle, at.seq) + 1;
      }
    }
    // Others of the same entry.
    for (
      let next = at && (await this.#next(no, at));
      next !== undefined;
      next = await this.#next(no, next.place)
    ) {
      if (next.known.past.startOp > counter) break;
      found = next.known;
    }
    return found;
  }

  /** The first applied change behind a place. */
  async #next(no: number, above: OpPlace): Promise<{ known: KnownChange; place: OpPlace } | undefined> {
    let after = above;
    for (let passed = 0; passed <= PASSED;) {
      const some = await this.#store.opPlaces(this.#key, no, { above: after }, passed === 0 ? 1 : AT_ONCE);
      for (const place of some) {
        if (this.#turn.isOver()) await this.#turn.next();
        const known = await this.#changeAt(no, place);
        if (known !== undefined) return { known, place };
        after = place;
        passed++;
      }
      if (some.length === 0) return undefined;
    }
    throw new PastUnknown();
  }

  /** Walks back through all feeds, some of each in turn, until the change of this hash is met. */
  async #walkTo(hash: string): Promise<PastChange | undefined> {
    let walks = [...(await this.#feedsByActor()).values()].map((no) => new Walk(this.#store, this.#key, no));
    for (const walk of walks) await walk.open();
    while (walks.length > 0) {
      const going: Walk[] = [];
      for (const walk of walks) {
        let found = await this.#step(walk, hash);
        while (found !== undefined && walk.isScattered) found = (await this.#step(walk, hash)) ?? found;
        if (found !== undefined) return found;
        if (!walk.isDone) going.push(walk);
      }
      walks = going;
    }
    return undefined;
  }

  async #step(walk: Walk, hash: string): Promise<PastChange | undefined> {
    const rows: PastRow[] = [];
    let found: PastChange | undefined;
    const read: { readonly place: OpPlace; readonly placed: PlacedOp }[] = [];
    for (const place of await walk.next()) {
      if (this.#turn.isOver()) await this.#turn.next();
      const placed = await this.#store.opAt(this.#key, walk.no, place);
      if (placed !== undefined) read.push({ place, placed });
    }
    const listed = await this.#store.listed(read.map(({ placed }) => placed));
    for (const [i, { place, placed }] of read.entries()) {
      if (this.#turn.isOver()) await this.#turn.next();
      const known = await this.#known(place, placed, listed[i] === true);
      if (known === undefined) continue;
      if (known.past.seen === undefined) rows.push([known.change.hash, known.past]);
      if (known.change.hash === hash) found = known.past;
    }
    await walk.keep(rows);
    return found;
  }
}

/** One feed's part of a record, walked from the newest op on; stretches that have been walked before are passed over. */
class Walk {
  readonly no: number;
  readonly #store: LedgerStore;
  readonly #key: RecordKey;
  /** How far back has been read, from the newest op. */
  #open: Covered | undefined;
  /** Stretches further down, the newest first. */
  #below: readonly Covered[] = [];
  isDone = false;

  constructor(store: LedgerStore, key: RecordKey, no: number) {
    this.#store = store;
    this.#key = key;
    this.no = no;
  }

  async open(): Promise<void> {
    this.#below = await this.#store.covered(this.#key, this.no);
  }

  /** With too many ranges it reads on until some of them have become one. */
  get isScattered(): boolean {
    return !this.isDone && this.#below.length >= STRETCHES;
  }

  /** The next places back; none where a stretch is passed over. */
  async next(): Promise<readonly OpPlace[]> {
    const [next, ...further] = this.#below;
    const bounds = { above: next?.to, below: this.#open?.from, reverse: true } as const;
    const some = await this.#store.opPlaces(this.#key, this.no, bounds, AT_ONCE);
    const [first, last] = [some[0], some.at(-1)];
    if (first !== undefined && last !== undefined) this.#open = { from: last, to: this.#open?.to ?? first };
    if (some.length === AT_ONCE) return some;
    if (next === undefined) this.isDone = true;
    else {
      this.#open = { from: next.from, to: this.#open?.to ?? next.to };
      this.#below = further;
    }
    return some;
  }

  /** Keeps what was found on the way. */
  async keep(rows: readonly PastRow[]): Promise<void> {
    const stretches = this.#open === undefined ? this.#below : [this.#open, ...this.#below];
    await this.#store.keepPast(this.#key, rows, { no: this.no, stretches });
  }
}

export function pastOf(change: Change, no: number): PastChange {
  const { actor, seq, startOp, ops } = change;
  return { actor, seq, startOp, lastOp: Math.max(1, startOp + ops.length - 1), no };
}
