import { type Env, pause } from '../protocols/env.ts';
import { AgrinetError } from '../protocols/errors.ts';
import type { Logger } from './logger.ts';

/** One thing of a node that is started and stopped. */
export interface Part {
  readonly name: string;
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** What other parts use of a part. Available from the part's start on; before that, using it throws `internal`. */
export interface Face<T> {
  readonly face: T;
}

/** A part that has started: what others use, and how it is stopped. */
export interface Started<T> extends Face<T> {
  readonly stop?: () => unknown;
}

/** A part that is opened by its start. An `open` that throws has left nothing behind. */
export function definePart<T>(name: string, open: () => Started<T> | Promise<Started<T>>): Part & Face<T> {
  let started: Started<T> | undefined;
  return {
    name,
    get face() {
      if (started === undefined)
        throw new AgrinetError('internal', `the part "${name}" is used before its start`);
      return started.face;
    },
    async start() {
      started = await open();
    },
    async stop() {
      await started?.stop?.();
    },
  };
}

/** How long one part may take to stop, milliseconds. */
const STOP_MS = 3000;

/** The parts of a node: started in the order in which they were added, stopped in reverse, each in its own time. */
export class PartList {
  readonly #env: Pick<Env, 'after'>;
  readonly #logger: Pick<Logger, 'warn'>;
  readonly #parts: Part[] = [];
  #running = 0;

  constructor(env: Pick<Env, 'after'>, logger: Pick<Logger, 'warn'>) {
    this.#env = env;
    this.#logger = logger;
  }

  get names(): readonly string[] {
    return this.#parts.map(({ name }) => name);
  }

  /** Adds a part behind all that it uses, and gives it back. */
  add<P extends Part>(part: P): P {
    this.#parts.push(part);
    return part;
  }

  /** Notes what has started by itself. */
  started(name: string, stop: () => unknown): void {
    this.#parts.push({ name, start: async () => undefined, stop: async () => void (await stop()) });
    this.#running++;
  }

  /** Starts what has not started. When one fails, all that have started are stopped again, and it throws that failure. */
  async start(): Promise<void> {
    try {
      for (const part of this.#parts.slice(this.#running)) {
        await part.start();
        this.#running++;
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Stops what has started. One that fails, or is late, does not keep the others from stopping. */
  async stop(): Promise<void> {
    while (this.#running > 0) {
      const part = this.#parts[--this.#running];
      if (part !== undefined) await this.#stop(part);
    }
  }

  async #stop({ name, stop }: Part): Promise<void> {
    const ended = new AbortController();
    const late = pause(this.#env, STOP_MS, ended.signal, { holds: true }).then(() => {
      if (!ended.signal.aborted) throw new AgrinetError('stop-late', `${name} did not stop in time`);
    });
    try {
      await Promise.race([stop(), late]);
    } catch (error) {
      this.#logger.warn({ part: name, err: error }, 'a part did not stop cleanly');
    } finally {
      ended.abort();
    }
  }
}
