import type { AuditEvent } from '../../protocols/audit/chain.ts';
import type { Env, Timer } from '../../protocols/env.ts';

/** Equal writes of one caller within this time are one line with their number, milliseconds: an import is not as many lines as rows. */
const TOGETHER_MS = 1000;
/** Kinds of such writes that are counted at once; of more, each has its line. */
const MOST = 1000;

/** Writes that leave no line of their own: the first is recorded at once, those that say the same within a second are counted. */
export class RepeatedWrites {
  readonly #record: (event: AuditEvent) => void;
  readonly #env: Pick<Env, 'after'>;
  /** Equal writes since their first line. */
  readonly #repeated = new Map<string, { readonly event: AuditEvent; count: number }>();
  #timer: Timer | undefined;

  constructor(record: (event: AuditEvent) => void, env: Pick<Env, 'after'>) {
    this.#record = record;
    this.#env = env;
  }

  /** `made` is what it wrote, for the line of one that names no subject. */
  record(event: AuditEvent, made: string | undefined): void {
    const same = JSON.stringify([event.actor, event.note, event.subject, event.detail]);
    const known = this.#repeated.get(same);
    if (known !== undefined) {
      known.count++;
      return;
    }
    this.#record(event.subject === undefined && made !== undefined ? { ...event, subject: made } : event);
    if (this.#repeated.size < MOST) this.#repeated.set(same, { event, count: 0 });
    this.#timer ??= this.#env.after(TOGETHER_MS, () => this.#flush());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#flush();
  }

  #flush(): void {
    this.#timer = undefined;
    for (const { event, count } of this.#repeated.values())
      if (count > 0) this.#record({ ...event, detail: { ...event.detail, count } });
    this.#repeated.clear();
  }
}
