import type { Env } from '../../protocols/env.ts';
import { parseRecordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { PendingChange, PendingNotices } from '../../storage/pending-notices.ts';
import { Counts } from '../../protocols/counts.ts';

/** A step that is pending because what it follows has not arrived, and how often it was checked in vain. */
interface WaitingStep extends PendingChange {
  readonly looks: number;
}

/** What is written of the waiting steps of one contract. */
export interface WaitingRow {
  readonly steps: readonly WaitingStep[];
}

type WaitingTable = Pick<PendingNotices<never, WaitingRow>, 'waiting' | 'wait' | 'waitNoMore'>;

/** The steps of one contract, and when they are checked next. */
interface Waiting {
  readonly contract: RecordKey;
  readonly steps: readonly WaitingStep[];
  due: number;
  wait: number;
  /** Something of the contract has arrived: this check does not count as one of the attempts. */
  isWoken: boolean;
}

/** A party with more of them waiting is not notified of the rest: it hides only its own. */
export const WAITING_LIMITS = {
  /** Steps of one contract that wait for the steps they depend on. */
  ofContract: 64,
  /** Such steps of one node. */
  ofNode: 1024,
  /** How long until a contract with waiting steps is checked again; doubled each time. */
  firstMs: 10_000,
  /** The longest of these waits: news from a node that was away for a day need not arrive within seconds. */
  longestMs: 600_000,
  /** How often a step is checked, within about an hour: if what it depends on has not arrived by then, no notice is sent. */
  looks: 10,
} as const;

/** Steps that wait for what they follow: in memory by contract, and on disk in the batch that the follower writes. */
export class WaitingSteps {
  readonly #table: WaitingTable;
  readonly #env: Pick<Env, 'now'>;
  readonly #byContract = new Map<RecordKey, Waiting>();
  readonly #ofNode = new Counts<string>();

  constructor(table: WaitingTable, env: Pick<Env, 'now'>) {
    this.#table = table;
    this.#env = env;
  }

  /** Replaces what is here by what is on disk; each is due at once. Returns the names of damaged rows. */
  async read(): Promise<string[]> {
    this.#byContract.clear();
    this.#ofNode.clear();
    const damaged: string[] = [];
    for (const { name, what } of await this.#table.waiting()) {
      if (what === undefined) damaged.push(name);
      else {
        const contract = name as RecordKey; // as `wait` wrote it
        this.#put({ contract, steps: what.steps, due: this.#env.now(), wait: 0, isWoken: true });
      }
    }
    return damaged;
  }

  /** The first contract due for a check. */
  due(): Pick<Waiting, 'contract' | 'steps'> | undefined {
    const first = this.#first();
    return first !== undefined && first.due <= this.#env.now() ? first : undefined;
  }

  /** When the next one becomes due, milliseconds since 1970. */
  nextDue(): number | undefined {
    return this.#first()?.due;
  }

  /** Another step of a contract waits. Nothing is written, or kept, of one too many. */
  add(contract: RecordKey, step: PendingChange): BatchOp[] {
    const before = this.#byContract.get(contract);
    const steps = before?.steps ?? [];
    const { ofContract, ofNode, firstMs } = WAITING_LIMITS;
    if (steps.length >= ofContract || this.#ofNode.of(nodeOf(step)) >= ofNode) return [];
    const all = [...steps, { ...step, looks: 0 }];
    const place = before ?? { due: this.#env.now() + firstMs, wait: firstMs, isWoken: false };
    return this.#put({ ...place, contract, steps: all });
  }

  /** A contract was checked, and these of its steps still wait. */
  looked(contract: RecordKey, waiting: ReadonlySet<RecordKey>): BatchOp[] {
    const before = this.#byContract.get(contract);
    if (before === undefined) return [];
    const counted = before.isWoken ? 0 : 1;
    const steps = before.steps
      .filter(({ record }) => waiting.has(record))
      .map((step) => ({ ...step, looks: step.looks + counted }))
      .filter(({ looks }) => looks < WAITING_LIMITS.looks);
    const { firstMs, longestMs } = WAITING_LIMITS;
    const wait = Math.min(Math.max(firstMs, before.wait * (1 + counted)), longestMs);
    return this.#put({ contract, steps, due: this.#env.now() + wait, wait, isWoken: false });
  }

  /** A step of a contract counts now: what waits there may wait for it. */
  wake(contract: RecordKey): void {
    const waiting = this.#byContract.get(contract);
    if (waiting === undefined) return;
    waiting.due = this.#env.now();
    waiting.isWoken = true;
  }

  #put(waiting: Waiting): BatchOp[] {
    const { contract, steps } = waiting;
    for (const step of this.#byContract.get(contract)?.steps ?? []) this.#ofNode.add(nodeOf(step), -1);
    for (const step of steps) this.#ofNode.add(nodeOf(step));
    this.#byContract.delete(contract); // so that of those due at one time the one that was looked at last comes last
    if (steps.length === 0) return [this.#table.waitNoMore(contract)];
    this.#byContract.set(contract, waiting);
    return [this.#table.wait(contract, { steps })];
  }

  #first(): Waiting | undefined {
    let first: Waiting | undefined;
    for (const each of this.#byContract.values())
      if (first === undefined || each.due < first.due) first = each;
    return first;
  }
}

function nodeOf({ record }: PendingChange): string {
  return parseRecordKey(record)?.owner ?? '';
}
