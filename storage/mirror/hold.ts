import type { Database } from '../database.ts';
import type { Outbox } from '../outbox.ts';
import { type AttachParts, attachTo } from './attach.ts';
import { fillStep } from './fill.ts';
import { type Holder, isHeld, renewHold } from './holder.ts';
import { memoryOp, type MirrorMemory } from './memory.ts';

export interface HoldParts extends AttachParts {
  readonly db: Database;
  readonly outbox: Outbox;
}

/** This process's hold on its tables, from the moment it attaches, and what the node remembers of them. */
export class Hold {
  readonly #parts: HoldParts;
  #holder: Holder | undefined;
  #memory: MirrorMemory | undefined;

  constructor(parts: HoldParts) {
    this.#parts = parts;
  }

  /** Undefined while the tables are not held. */
  get holder(): Holder | undefined {
    return this.#holder;
  }

  /** Whether something has yet to be written since these tables were taken. */
  get isFilling(): boolean {
    return this.#memory?.fill !== undefined;
  }

  /** Whether the tables may hold what LevelDB does not. */
  get repairDue(): boolean {
    return this.#memory?.repair === true;
  }

  /** Throws what `attachTo` throws. Returns why everything has to be written, or undefined. */
  async attach(takeOver: boolean): Promise<string | undefined> {
    const { holder, memory, reason } = await attachTo(this.#parts, takeOver);
    this.#holder = holder;
    this.#memory = memory;
    return reason;
  }

  /** Puts the next rows of a fill into the outbox. */
  async fill(chunk: number): Promise<void> {
    if (this.#memory !== undefined) this.#memory = await fillStep(this.#parts, this.#memory, chunk);
  }

  isMine(held: Holder): Promise<boolean> {
    return isHeld(this.#parts, held);
  }

  /** False when a newer process holds the tables. */
  async renew(seenAt = this.#parts.now()): Promise<boolean> {
    if (this.#holder === undefined) return true;
    return renewHold(this.#parts, { ...this.#holder, seenAt, commits: this.#parts.db.commits });
  }

  /** The tables are gone, and will be empty when they come again. */
  async lost(): Promise<void> {
    this.#holder = undefined;
    await this.refill();
  }

  /** Everything is written again. */
  async refill(): Promise<void> {
    if (this.#memory !== undefined && this.#memory.fill !== '')
      await this.#remember({ ...this.#memory, fill: '' });
  }

  async repaired(): Promise<void> {
    if (this.#memory === undefined) return;
    const { repair: _, ...rest } = this.#memory;
    await this.#remember(rest);
  }

  async #remember(next: MirrorMemory): Promise<void> {
    this.#memory = next;
    await this.#parts.db.batch([memoryOp(next)], true);
  }
}
