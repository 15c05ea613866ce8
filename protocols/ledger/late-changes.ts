import { type Change, type FieldOp, opIdText } from '../open-dialog/change.ts';
import { APPLIED, rejected } from '../open-dialog/fast-path.ts';
import { genesisOf } from '../open-dialog/genesis.ts';
import {
  applyLate,
  hasSeen,
  isSeenTooMuch,
  isWithinState,
  type PastChange,
  type Seen,
  seenBy,
} from '../open-dialog/late-change.ts';
import type { OpenState, PlacedOp, Verdict } from '../open-dialog/record.ts';
import type { Collection } from '../open-dialog/schema.ts';
import { writerProblem } from '../open-dialog/writer-rule.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { LedgerStore, PastCommit, PastRow } from './ports.ts';
import { type KnownChange, pastOf, PastUnknown, RecordPast } from './record-past.ts';
import type { Turn } from './turn.ts';

/**
 * Records of no more ops than this are evaluated whole when a change comes late: that takes some ten milliseconds, the values are
 * Automerge's own, and nothing has to be kept for it.
 */
export const WHOLE_OPS = 512;

/** An actor's changes looked through for its newest write of a field. */
const OWN_LOOKED_AT = 1024;

type Hashed = Change & { readonly hash: string };

/**
 * Changes that arrive late: they do not follow everything that their record holds. In a long record each is compared with the few
 * changes that it names and those that they name, found by their places, instead of evaluating everything again; verdict and state
 * are the same. Where this is not possible, the record is evaluated completely.
 */
export class LateChanges {
  readonly #store: LedgerStore;
  readonly #turn: Turn;
  readonly #wholeOps: number;
  readonly #pasts = new Map<RecordKey, RecordPast>();
  /** Changes of this commit that followed all before them. */
  readonly #followed = new Map<RecordKey, KnownChange[]>();
  readonly #rows = new Map<RecordKey, PastRow[]>();
  readonly #without = new Map<RecordKey, 'all' | 'walks'>();

  constructor(store: LedgerStore, turn: Turn, wholeOps: number) {
    this.#store = store;
    this.#turn = turn;
    this.#wholeOps = wholeOps;
  }

  /** A change that followed all that was applied before it; its number. */
  followed(key: RecordKey, change: Hashed): number {
    const no = this.#store.nextOpNo();
    const known = { change, past: pastOf(change, no) };
    const others = this.#followed.get(key);
    if (others === undefined) this.#followed.set(key, [known]);
    else others.push(known);
    this.#pasts.get(key)?.add(known);
    return no;
  }

  /** The record was evaluated whole. `isAgain`: what had been applied may be so no longer. */
  evaluatedWhole(key: RecordKey, isAgain: boolean): void {
    if (isAgain) this.#rows.delete(key);
    if (this.#without.get(key) !== 'all') this.#without.set(key, isAgain ? 'all' : 'walks');
  }

  /** What is to be stored with the commit. */
  commits(): PastCommit[] {
    const keys = new Set([...this.#rows.keys(), ...this.#without.keys()]);
    return [...keys].map((key) => {
      const without = this.#without.get(key);
      return { key, rows: this.#rows.get(key) ?? [], ...(without === undefined ? {} : { without }) };
    });
  }

  /** Takes a change in that the fast path has left; undefined when its record has to be evaluated whole, and nothing is changed then. */
  async take(
    state: OpenState,
    collection: Collection,
    change: Hashed,
    placed: PlacedOp,
  ): Promise<Verdict | undefined> {
    const { key } = state;
    const isPublic = placed.channel === 'public';
    if (state.ops <= this.#wholeOps || this.#without.has(key) || !isWithinState(state, change))
      return undefined;
    if (!isPublic && state.members === undefined) return undefined;
    try {
      const code = isPublic ? undefined : writerProblem(collection, state.members, placed.author, change);
      const past = this.#past(key);
      const deps = await this.#deps(past, collection, change);
      if (deps === undefined) return undefined;
      const seen = code ?? (await this.#evaluate(state, past, deps, change));
      if (typeof seen === 'string') return rejected(state, seen);
      const known = { ...pastOf(change, this.#store.nextOpNo()), seen };
      applyLate(state, change, placed, known.lastOp, change.seq === 1);
      past.add({ change, past: known });
      this.#keep(key, [change.hash, known]);
      return APPLIED;
    } catch (error) {
      if (error instanceof PastUnknown) return undefined;
      throw error;
    }
  }

  #past(key: RecordKey): RecordPast {
    const known = this.#pasts.get(key);
    if (known !== undefined) return known;
    const past = new RecordPast(this.#store, key, this.#turn);
    for (const each of this.#followed.get(key) ?? []) past.add(each);
    this.#pasts.set(key, past);
    return past;
  }

  #keep(key: RecordKey, row: PastRow): void {
    const rows = this.#rows.get(key);
    if (rows === undefined) this.#rows.set(key, [row]);
    else rows.push(row);
  }

  /**
   * The dependencies of a change besides the genesis; undefined when one of them is not applied: pending changes are left to the
   * complete evaluation.
   */
  async #deps(past: RecordPast, collection: Collection, { deps }: Change): Promise<PastChange[] | undefined> {
    const genesis = genesisOf(collection).hash;
    const found: PastChange[] = [];
    for (const dep of deps) {
      if (dep === genesis) continue;
      const known = await past.byHash(dep);
      if (known === undefined) return undefined;
      found.push(known);
    }
    if (found.length < deps.length) found.push(GENESIS);
    return found;
  }

  /**
   * What the change has seen, or the code that it is rejected with. The checks and their order are those of the complete evaluation.
   */
  async #evaluate(
    state: OpenState,
    past: RecordPast,
    deps: readonly PastChange[],
    change: Hashed,
  ): Promise<Seen | string> {
    const { actor, seq, startOp } = change;
    let own: PastChange | undefined;
    for await (const each of past.back(actor)) {
      own = each.past;
      break;
    }
    if (seq !== (own?.seq ?? 0) + 1) {
      // Distinguishes a change that is already applied from another with its sequence.
      const same = await past.byOp(actor, startOp);
      return same?.change.hash === change.hash ? 'change-twice' : 'seq-wrong';
    }
    const seen = seenBy(deps);
    if (own !== undefined && !hasSeen(seen, own)) return 'seq-not-ancestor';
    if (startOp !== 1 + Math.max(...deps.map(({ lastOp }) => lastOp))) return 'start-op-wrong';
    if (isSeenTooMuch(seen)) throw new PastUnknown();
    for (const op of change.ops) {
      const problem = await this.#opProblem(state, past, seen, change, op);
      if (problem !== undefined) return problem;
    }
    return seen;
  }

  async #opProblem(
    state: OpenState,
    past: RecordPast,
    seen: Seen,
    change: Hashed,
    { action, field, pred }: FieldOp,
  ): Promise<string | undefined> {
    if (action === 'del' && pred.length === 0) return 'pred-missing';
    const replaces: FieldOp[] = [];
    for (const { actor, counter } of pred) {
      const by = await past.byOp(actor, counter);
      const set = by?.change.ops[counter - by.past.startOp];
      if (by === undefined || set?.action !== 'set' || set.field !== field || !hasSeen(seen, by.past))
        return 'pred-wrong';
      replaces.push(set);
    }
    const own = change.seq === 1 ? undefined : await newestOwn(state, past, change.actor, field);
    if (own === undefined || pred.some((id) => opIdText(id) === own.id)) return undefined;
    if (own.isVisible) return 'pred-own-missing';
    // Replaced by another actor, whose write the change may not have seen: decided only if the replacement is known.
    if (replaces.some((set) => set.pred.some((id) => opIdText(id) === own.id))) return undefined;
    throw new PastUnknown();
  }
}

const GENESIS: PastChange = { actor: '', seq: 0, startOp: 1, lastOp: 1, no: 0 };

/** The newest write of a field by an actor, unless that has taken it back itself. */
async function newestOwn(
  { fieldOps }: OpenState,
  past: RecordPast,
  actor: string,
  field: string,
): Promise<{ readonly id: string; readonly isVisible: boolean } | undefined> {
  const visible = fieldOps[field]?.find((id) => id.endsWith(`@${actor}`));
  if (visible !== undefined) return { id: visible, isVisible: true };
  let looked = 0;
  for await (const { change } of past.back(actor)) {
    const at = change.ops.findIndex((op) => op.field === field);
    if (at >= 0)
      return change.ops[at]?.action === 'del'
        ? undefined
        : { id: `${change.startOp + at}@${actor}`, isVisible: false };
    if (++looked >= OWN_LOOKED_AT) throw new PastUnknown();
  }
  return undefined;
}
