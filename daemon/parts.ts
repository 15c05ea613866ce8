import { AgrinetError } from '../protocols/errors.ts';
import type { Logger } from './logger.ts';

/** How long one part may take to stop, milliseconds. */
const STOP_MS = 3000;

/** Stops parts in the reverse order of their start, each in its own time; one that fails does not keep the others from stopping. */
export class Parts {
  readonly #stops: { name: string; stop: () => unknown }[] = [];
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  started(name: string, stop: () => unknown): void {
    this.#stops.push({ name, stop });
  }

  async stop(): Promise<void> {
    for (let part = this.#stops.pop(); part !== undefined; part = this.#stops.pop()) {
      const { name, stop } = part;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new AgrinetError('stop-late', `${name} did not stop in time`)),
          STOP_MS,
        );
      });
      try {
        await Promise.race([Promise.resolve(stop()), late]);
      } catch (error) {
        this.#logger.warn({ part: name, err: error }, 'a part did not stop cleanly');
      } finally {
        clearTimeout(timer);
      }
    }
  }
}
