import type { Env, Timer } from './env.ts';
import type { AgrinetError } from './errors.ts';

/** A thread of one's own that answers what it is asked. */
export interface RequestWorker<Request> {
  post(request: Request): void;
  /** Whether it keeps the process alive: with nothing to do it must not, with work it must. */
  hold(holds: boolean): void;
  /** Ends it, whatever it is at. */
  end(): Promise<void>;
}

/** First that the thread is there; then to each question its answer, with the question's id. */
export type WorkerReply<Answer> = { readonly ready: true } | (Answer & { readonly id: number });

/** What a thread says, never before it is started: its answers, and that it is gone, by itself or ended. */
export interface WorkerEvents<Answer> {
  readonly answer: (answer: WorkerReply<Answer>) => void;
  readonly gone: (cause?: unknown) => void;
}

/** Starts a thread that keeps nothing alive yet. */
export type StartWorker<Request, Answer> = (events: WorkerEvents<Answer>) => RequestWorker<Request>;

export interface RequestThreadParts<Request, Answer> {
  readonly env: Pick<Env, 'after'>;
  readonly start: StartWorker<Request, Answer>;
  /** What those who wait are told when the thread is gone, or does not start. */
  readonly failed: (how: 'ended' | 'failed' | 'did not start', cause?: unknown) => AgrinetError;
  /** It is there no longer, and not because `end` was called: what it held is lost. */
  readonly onLost?: (error: AgrinetError) => void;
  /** Without it, the thread is kept until it is ended. */
  readonly idle?: {
    /** A thread that has had nothing to do for this long, milliseconds, is ended and releases its memory. */
    readonly keptMs: number;
    /** What it held is gone with it. */
    readonly onEnd?: () => void;
  };
}

/** To start: modules have to be loaded and compiled, on a machine that may be busy. */
const START_MS = 60_000;

/** Somebody waits for what is under way. */
const HOLDS = { holds: true };

interface Waiting<Answer> {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/**
 * One thread at a time, started when it is needed. Each question has a deadline (milliseconds, from the moment that the thread is there and
 * has all of the question); a thread that misses one is ended, all that wait for it are told why, and the next question finds a fresh one.
 */
export class RequestThread<Request, Answer> {
  readonly #parts: RequestThreadParts<Request, Answer>;
  readonly #open = new Map<number, Waiting<Answer>>();
  #worker: RequestWorker<Request> | undefined;
  #ready: PromiseWithResolvers<void> = Promise.withResolvers();
  #nextId = 1;
  /** Pieces of work of several questions that are under way. */
  #kept = 0;
  #idle: Timer | undefined;
  #stopped: AgrinetError | undefined;

  constructor(parts: RequestThreadParts<Request, Answer>) {
    this.#parts = parts;
  }

  /** No question is open. */
  get isIdle(): boolean {
    return this.#open.size === 0;
  }

  /** Runs work that asks several questions of one thread: it is not idle in between. */
  async keep<T>(work: () => Promise<T>): Promise<T> {
    this.#kept++;
    try {
      return await work();
    } finally {
      this.#kept--;
      this.#rest();
    }
  }

  /** `send` posts the question under its id, at once or in pieces for as long as it is open. Throws what `stop` was given once it was called. */
  async ask(
    deadline: number,
    overdue: () => AgrinetError,
    send: (post: (request: Request) => void, id: number, isOpen: () => boolean) => Promise<void> | void,
  ): Promise<Answer> {
    if (this.#stopped !== undefined) throw this.#stopped;
    this.#idle?.cancel();
    const worker = (this.#worker ??= this.#begin());
    const id = this.#nextId++;
    worker.hold(true);
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
    });
    // It may be rejected before anybody waits for it.
    answer.catch(() => undefined);
    let timer: Timer | undefined;
    try {
      await this.#started(worker);
      const isOpen = (): boolean => this.#open.has(id);
      if (isOpen()) await send((request) => worker.post(request), id, isOpen);
      timer = this.#parts.env.after(deadline, () => this.#lose(worker, overdue()), HOLDS);
      return await answer;
    } finally {
      timer?.cancel();
      this.#open.delete(id);
      if (this.#open.size === 0) worker.hold(false);
      this.#rest();
    }
  }

  #rest(): void {
    const { env, idle } = this.#parts;
    this.#idle?.cancel();
    if (idle === undefined || this.#worker === undefined || !this.isIdle || this.#kept > 0) return;
    this.#idle = env.after(idle.keptMs, () => {
      idle.onEnd?.();
      void this.end(this.#parts.failed('ended'));
    });
  }

  /** Ends the thread for good: whoever waits for it, and whoever asks from now on, is told `error`. */
  stop(error: AgrinetError): Promise<void> {
    this.#stopped = error;
    this.#idle?.cancel();
    return this.end(error);
  }

  /** Ends the thread; whoever waits for it is told `error`. The next question finds another. */
  async end(error: AgrinetError): Promise<void> {
    const worker = this.#worker;
    if (worker !== undefined) this.#tell(worker, error);
    await worker?.end();
  }

  #begin(): RequestWorker<Request> {
    const ready = Promise.withResolvers<void>();
    ready.promise.catch(() => undefined); // whoever waits for it is told
    const fresh = this.#parts.start({
      answer: (message) =>
        'ready' in message ? ready.resolve() : this.#open.get(message.id)?.resolve(message),
      gone: (cause) => {
        const error = this.#parts.failed(cause === undefined ? 'ended' : 'failed', cause);
        if (this.#tell(fresh, error)) this.#parts.onLost?.(error);
      },
    });
    this.#ready = ready;
    return fresh;
  }

  /** All that were asked of a thread that is gone are told; who asks next gets another. */
  #tell(worker: RequestWorker<Request>, error: AgrinetError): boolean {
    if (this.#worker !== worker) return false;
    this.#worker = undefined;
    this.#ready.reject(error);
    for (const waiting of this.#open.values()) waiting.reject(error);
    this.#open.clear();
    return true;
  }

  #lose(worker: RequestWorker<Request>, error: AgrinetError): void {
    if (this.#tell(worker, error)) this.#parts.onLost?.(error);
    void worker.end();
  }

  async #started(worker: RequestWorker<Request>): Promise<void> {
    const timer = this.#parts.env.after(
      START_MS,
      () => this.#lose(worker, this.#parts.failed('did not start')),
      HOLDS,
    );
    try {
      await this.#ready.promise;
    } finally {
      timer.cancel();
    }
  }
}
