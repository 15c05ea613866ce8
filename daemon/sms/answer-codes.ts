import { createHash } from 'node:crypto';
import type { User } from '../../api/ports/users.ts';
import type { Env } from '../../protocols/env.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { SmsTable } from '../../storage/sms-table.ts';

/** A proposal that its recipient may answer by SMS, and what it comes to. */
export interface Answerable {
  readonly contract: RecordKey;
  /** Hash of the proposal. */
  readonly proposal: string;
  readonly sum: number;
  readonly currency: string;
}

/** The proposal of a code. Times in milliseconds since 1970. */
export interface CodeRow extends Pick<Answerable, 'contract' | 'proposal'> {
  /** Hash of the code, the proposal and the number that it was sent to: good for all three together. */
  readonly bound: string;
  readonly until: number;
  /** Wrong codes received from the number since. */
  readonly tries: number;
}

/** Up to which sum a proposal may be answered by SMS; without a currency in each that is not named. */
export interface AcceptLimit {
  readonly sum: number;
  readonly currency: string | undefined;
}

export const ANSWER_LIMITS = {
  /** How long a code is good. */
  codeMs: 172_800_000,
  /** Wrong codes from a number after which those that were sent to it are void. */
  tries: 3,
  /** Codes that one user has at the same time: each makes guessing easier. */
  codesPerUser: 8,
  /** Wrong codes from one number within a day; after that its answers are ignored. */
  wrongPerNumber: 10,
  /** Wrong codes from all numbers within an hour; after that all answers are ignored until it is over. */
  wrongInAll: 200,
  /** Replies to one number within a day: each is paid for. */
  repliesPerNumber: 20,
  /** How long a received message is remembered, so that it cannot be posted again. */
  rememberMs: 604_800_000,
  /** SMS messages that wait to be answered at the same time. */
  waiting: 64,
} as const;

type Codes = Pick<SmsTable<never, CodeRow>, 'codes' | 'codeKey' | 'put'>;

/** Codes that answer proposals: drawn with the notice, and looked up when an SMS comes. */
export class AnswerCodes {
  readonly #table: Codes;
  readonly #env: Pick<Env, 'now' | 'bytes'>;

  constructor(table: Codes, env: Pick<Env, 'now' | 'bytes'>) {
    this.#table = table;
    this.#env = env;
  }

  /** A code for a proposal and what to write with it; earlier ones of its contract become void. Undefined for one too many. */
  async issue(
    { contract, proposal }: Answerable,
    { id, phone = '' }: User,
  ): Promise<{ readonly code: string; readonly ops: readonly BatchOp[] } | undefined> {
    const rows = await this.#table.codes(id);
    const now = this.#env.now();
    const [over, open] = partition(
      rows,
      ({ what }) => what === undefined || what.until <= now || what.contract === contract,
    );
    const ops: BatchOp[] = over.map(({ key }) => ({ type: 'del', key }));
    if (open.length >= ANSWER_LIMITS.codesPerUser) return undefined;
    const taken = new Set(rows.map(({ key }) => key));
    let code = this.#draw();
    while (taken.has(this.#table.codeKey(id, code))) code = this.#draw();
    const until = now + ANSWER_LIMITS.codeMs;
    const row: CodeRow = { contract, proposal, bound: boundTo(code, proposal, phone), until, tries: 0 };
    return { code, ops: [...ops, this.#table.put(this.#table.codeKey(id, code), row)] };
  }

  /** The proposal for a code from a number, and how to remove the code. */
  async find(
    userId: string,
    code: string,
    phone: string,
  ): Promise<{ readonly row: CodeRow; readonly used: BatchOp } | undefined> {
    const wanted = this.#table.codeKey(userId, code);
    const row = (await this.#table.codes(userId)).find(({ key }) => key === wanted)?.what;
    if (row === undefined || row.until <= this.#env.now()) return undefined;
    if (row.bound !== boundTo(code, row.proposal, phone)) return undefined;
    return { row, used: { type: 'del', key: wanted } };
  }

  /** What to write after a wrong code: each of the user's own has one attempt less. */
  async wrong(userId: string): Promise<BatchOp[]> {
    return (await this.#table.codes(userId)).map(({ key, what }) => {
      const tries = (what?.tries ?? 0) + 1;
      return what === undefined || tries >= ANSWER_LIMITS.tries
        ? { type: 'del', key }
        : this.#table.put(key, { ...what, tries });
    });
  }

  #draw(): string {
    const [a = 0, b = 0, c = 0, d = 0] = this.#env.bytes(4);
    return String((a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d) % 1_000_000).padStart(6, '0');
  }
}

/** Whether a proposal of this sum may be answered by SMS. */
export function mayAnswer({ sum, currency }: Answerable, limits: readonly AcceptLimit[]): boolean {
  const limit =
    limits.find((each) => each.currency === currency) ?? limits.find((each) => each.currency === undefined);
  return limit !== undefined && sum <= limit.sum;
}

function boundTo(code: string, proposal: string, phone: string): string {
  return createHash('sha256').update(`${code}\0${proposal}\0${phone}`).digest('hex');
}

function partition<T>(all: readonly T[], is: (each: T) => boolean): [T[], T[]] {
  return [all.filter(is), all.filter((each) => !is(each))];
}
