import type { AgrinetError } from '../errors.ts';
import { CpuSlice, type TurnEnv } from '../cpu-slice.ts';
import { FairQueue } from './fair-queue.ts';
import { loopTurn, SLICE_MS, type Turn } from './turn.ts';

/**
 * The author to which a task is charged, and the key of the records that no other task may touch meanwhile; none for work that
 * touches no record.
 */
export interface TaskPlace {
  readonly author: string;
  readonly serialKey?: string;
}

/** A serial key kept over several tasks: between them nobody else's begin with it, and those with other keys have their turn. */
export interface KeptKey {
  run<T>(author: string, work: (turn: Turn) => Promise<T>): Promise<T>;
  /** The key is free for everybody again. */
  release(): void;
  /** Nobody gets the key any more: who waits for it is told why, and so is who comes. */
  close(error: AgrinetError): void;
}

/** Own writes: asked before anybody else, with all that wait in one task. */
export interface OwnWork {
  readonly serialKey: string;
  isWaiting(): boolean;
  commit(turn: Turn): Promise<void>;
  /** The serial key has become free: what waited for it can go on. */
  freed(serialKey: string): void;
  /** It will not be: what waits for it is told why, now and from now on. */
  closed(serialKey: string, error: AgrinetError): void;
}

interface Task extends TaskPlace {
  /** Of a key that is kept. */
  readonly kept?: KeptKey;
  state: 'waiting' | 'ready' | 'running' | 'away';
  /** CPU used in the slices that are over, milliseconds. */
  usedMs: number;
  /** Starts the task, or lets it continue. */
  go(): void;
  /** Gives the thread back. */
  yielded(): void;
  refuse(error: AgrinetError): void;
}

/**
 * Runs tasks on the one main thread, one at a time and in slices: when a slice is used up, or a task waits for another thread, the
 * next one has its turn. Tasks with the same serial key run one after another, and so do those of one author; all others may interleave anywhere,
 * because those with different keys share no record. Own writes come first, but let one slice of others between two of their batches.
 */
export class TaskScheduler {
  readonly #env: TurnEnv;
  readonly #slice: CpuSlice;
  readonly #own: OwnWork;
  readonly #queue = new FairQueue<Task>();
  readonly #alone: Task[] = [];
  /** Tasks begun and not done, by author. */
  readonly #begun = new Map<string, Task>();
  readonly #busyKeys = new Set<string>();
  readonly #kept = new Map<string, KeptKey>();
  readonly #closed = new Map<string, AgrinetError>();
  #ownTask: Task | undefined;
  #ownWasLast = false;
  /** The task that no other task may interrupt. */
  #undivided: Task | undefined;
  #driving = false;
  /** CPU that the thread had used when the running task got it, milliseconds. */
  #given = 0;

  constructor(env: TurnEnv, own: OwnWork) {
    this.#env = env;
    this.#slice = new CpuSlice(env, SLICE_MS);
    this.#own = own;
  }

  /** Runs work when its turn has come: after what its author and its serial key have begun. */
  run<T>(place: TaskPlace, work: (turn: Turn) => Promise<T>): Promise<T> {
    const closed = place.serialKey === undefined ? undefined : this.#closed.get(place.serialKey);
    if (closed !== undefined) return Promise.reject(closed);
    return this.#made(place, work, (task) => this.#queue.add(task));
  }

  /** Runs work while no other is under way. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#made({ author: '' }, work, (task) => this.#alone.push(task));
  }

  /** Keeps a serial key, from the end of the task that has it now; nobody else must keep it. */
  keep(serialKey: string): KeptKey {
    const kept: KeptKey = {
      run: (author, work) => this.#made({ author, serialKey, kept }, work, (task) => this.#queue.add(task)),
      release: () => {
        this.#kept.delete(serialKey);
        if (!this.#busyKeys.has(serialKey)) this.#own.freed(serialKey);
        this.wake();
      },
      close: (error) => this.#close(serialKey, error),
    };
    this.#kept.set(serialKey, kept);
    return kept;
  }

  #close(serialKey: string, error: AgrinetError): void {
    this.#closed.set(serialKey, error);
    for (const task of this.#queue.find((each) => each.serialKey === serialKey && each.state === 'waiting')) {
      this.#queue.remove(task);
      task.refuse(error);
    }
    this.#own.closed(serialKey, error);
  }

  /** Whether a task that is under way has this serial key, or it is kept. */
  isHeld(serialKey: string): boolean {
    return this.#busyKeys.has(serialKey) || this.#kept.has(serialKey);
  }

  /** There is something to do. */
  wake(): void {
    if (this.#driving) return;
    this.#driving = true;
    void this.#drive();
  }

  #made<T>(
    place: TaskPlace & Pick<Task, 'kept'>,
    work: (turn: Turn) => Promise<T>,
    keep: (task: Task) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const task: Task = {
        ...place,
        state: 'waiting',
        usedMs: 0,
        yielded: () => undefined,
        refuse: reject,
        go: () => {
          void work(this.#turnOf(task))
            .finally(() => this.#ended(task))
            .then(resolve, reject)
            .finally(() => task.yielded());
        },
      };
      keep(task);
      this.wake();
    });
  }

  async #drive(): Promise<void> {
    // One turn of the event loop lets the writes of one burst share an entry.
    await loopTurn(this.#env);
    this.#slice.begin();
    for (let task = this.#pick(); task !== undefined; task = this.#pick()) {
      await this.#give(task);
      if (!this.#slice.isOver()) continue;
      await loopTurn(this.#env);
      this.#slice.begin();
    }
    this.#driving = false;
  }

  async #give(task: Task): Promise<void> {
    this.#given = this.#env.cpu();
    this.#ownWasLast = task === this.#ownTask;
    if (task.state === 'waiting') this.#begin(task);
    task.state = 'running';
    await new Promise<void>((yielded) => {
      task.yielded = yielded;
      task.go();
    });
    const used = this.#env.cpu() - this.#given;
    task.usedMs += used;
    this.#queue.charge(task.author, used);
  }

  #begin(task: Task): void {
    if (task !== this.#ownTask) this.#begun.set(task.author, task);
    if (task.serialKey !== undefined) this.#busyKeys.add(task.serialKey);
  }

  #ended(task: Task): void {
    if (task === this.#ownTask) this.#ownTask = undefined;
    else {
      this.#begun.delete(task.author);
      this.#queue.remove(task);
    }
    if (task.serialKey === undefined) return;
    this.#busyKeys.delete(task.serialKey);
    if (!this.#kept.has(task.serialKey)) this.#own.freed(task.serialKey);
  }

  #pick(): Task | undefined {
    if (this.#undivided !== undefined) return ready(this.#undivided);
    // Once started, it may have drafted: until its commit, nothing that it has read may change.
    if (this.#ownTask !== undefined) return ready(this.#ownTask);
    if (this.#alone.length > 0) {
      for (const task of this.#begun.values()) if (task.state === 'ready') return task;
      return this.#begun.size > 0 ? undefined : this.#alone.shift();
    }
    if (!this.#ownWasLast && this.#ownMayBegin()) return this.#ownBegins();
    const other = this.#queue.next((items) => this.#choose(items));
    return other ?? (this.#ownMayBegin() ? this.#ownBegins() : undefined);
  }

  #choose(items: readonly Task[]): Task | undefined {
    const [first] = items;
    const begun = first && this.#begun.get(first.author);
    if (begun !== undefined) return ready(begun);
    return items.find(({ serialKey, kept }) => {
      if (serialKey === undefined) return true;
      return !this.#busyKeys.has(serialKey) && (this.#kept.get(serialKey) ?? kept) === kept;
    });
  }

  #ownMayBegin(): boolean {
    return this.#own.isWaiting() && !this.isHeld(this.#own.serialKey);
  }

  #ownBegins(): Task {
    const task: Task = {
      author: '',
      serialKey: this.#own.serialKey,
      state: 'waiting',
      usedMs: 0,
      yielded: () => undefined,
      refuse: () => undefined,
      go: () => {
        void this.#own.commit(this.#turnOf(task)).finally(() => {
          this.#ended(task);
          task.yielded();
        });
      },
    };
    this.#ownTask = task;
    return task;
  }

  #turnOf(task: Task): Turn {
    const resumed = (): Promise<void> =>
      new Promise<void>((resume) => {
        task.state = 'ready';
        task.go = resume;
      });
    return {
      isOver: () => this.#slice.isOver(),
      usedMs: () => task.usedMs + this.#env.cpu() - this.#given,
      next: () => {
        const again = resumed();
        task.yielded();
        return again;
      },
      away: async (wait) => {
        task.state = 'away';
        task.yielded();
        try {
          return await wait();
        } finally {
          const again = resumed();
          this.wake();
          await again;
        }
      },
      undivided: async (work) => {
        this.#undivided = task;
        try {
          return await work();
        } finally {
          this.#undivided = undefined;
        }
      },
    };
  }
}

function ready(task: Task): Task | undefined {
  return task.state === 'ready' ? task : undefined;
}
