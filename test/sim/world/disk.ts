import type { BatchOp } from '../../../storage/keyspace.ts';
import { Rows } from './rows.ts';
import type { Chance, Process, WorldTime } from './time.ts';
import { MemoryLevel } from './level.ts';

/** How a process ends without saying so: killed, what it handed to the system stays; without power, what was not synced may go. */
export type CrashKind = 'kill' | 'power';

interface Batch {
  readonly ops: readonly BatchOp[];
  readonly sync: boolean;
  readonly done: () => void;
}

/** How long a synced write takes, milliseconds at most. */
const SYNC_MS = 12;

/**
 * A disk with LevelDB on it. Batches are atomic and in order. A sync makes everything written so far durable. Without power the log loses
 * any number of batches from its end that were not synced, never one from its middle; one that was torn is lost whole.
 */
export class Disk {
  readonly #time: WorldTime;
  readonly #chance: Chance;
  #durable = new Rows();
  #written = new Rows();
  /** Written since the last sync. */
  #unsynced: (readonly BatchOp[])[] = [];
  /** Handed over, not written yet; each with its own time. */
  #underWay: Batch[] = [];
  /** The note of the last commit beside the database, and those that a crash may bring back. */
  #heads: number[] = [];
  initialized = false;
  /** A planted fault: the last synced write before the first crash is told to be on the disk, and is not. */
  #lies = false;
  #lied: readonly BatchOp[] | undefined;

  constructor(time: WorldTime, chance: Chance) {
    this.#time = time;
    this.#chance = chance;
  }

  get rows(): Rows {
    return this.#written;
  }

  get head(): number | undefined {
    return this.#heads.at(-1);
  }

  noteHead(no: number): void {
    this.#heads.push(no);
  }

  /** LevelDB for a process. */
  open(process: Process): MemoryLevel {
    return new MemoryLevel(this, process);
  }

  write(process: Process, ops: readonly BatchOp[], sync: boolean): Promise<void> {
    return new Promise((resolve) => {
      const batch: Batch = { ops, sync, done: resolve };
      this.#underWay.push(batch);
      // One that is not synced is in the system's memory at once; but it never passes one that waits for the disk.
      if (!sync && this.#underWay.length === 1) return this.#finish();
      this.#time.after(sync ? this.#chance.below(SYNC_MS) : 0, () => {
        if (process.alive) this.#finishTo(batch);
      });
    });
  }

  #finishTo(batch: Batch): void {
    while (this.#underWay.includes(batch)) this.#finish();
  }

  #finish(): void {
    const batch = this.#underWay.shift();
    if (batch === undefined) return;
    this.#written.apply(batch.ops);
    this.#unsynced.push(batch.ops);
    if (batch.sync) this.#sync();
    batch.done();
  }

  plantLoss(): void {
    this.#lies = true;
  }

  #sync(): void {
    if (this.#lied !== undefined) this.#durable.apply(this.#lied);
    this.#lied = this.#lies ? this.#unsynced.pop() : undefined;
    for (const ops of this.#unsynced) this.#durable.apply(ops);
    this.#unsynced = [];
    this.#heads = this.#heads.slice(-1);
  }

  /** The end of the process on it. What was under way may have been written, and nobody was told. */
  crash(kind: CrashKind): void {
    if (this.#lied !== undefined) this.#lies = false;
    this.#lied = undefined;
    const log = [...this.#unsynced, ...this.#underWay.map(({ ops }) => ops)];
    const least = kind === 'kill' ? this.#unsynced.length : 0;
    const kept = least + this.#chance.below(log.length - least + 1);
    for (const ops of log.slice(0, kept)) this.#durable.apply(ops);
    this.#settle();
    // A note of some bytes outlives the end of a log more often than not.
    if (kind === 'power' && this.#heads.length > 1 && this.#chance() < 0.4)
      this.#heads = this.#heads.slice(0, 1 + this.#chance.below(this.#heads.length));
    this.#heads = this.#heads.slice(-1);
  }

  /** After an orderly stop the next crash has nothing of before to take: LevelDB began a new log file. */
  closed(): void {
    this.#sync();
  }

  #settle(): void {
    this.#written = new Rows(this.#durable);
    this.#unsynced = [];
    this.#underWay = [];
  }

  /** Everything that the database holds now. */
  copy(): Rows {
    return new Rows(this.#written);
  }

  /** Another disk in its place, with these rows on it. */
  replace(rows: Rows): void {
    this.#durable = new Rows(rows);
    this.#settle();
    this.#heads = [];
  }
}
