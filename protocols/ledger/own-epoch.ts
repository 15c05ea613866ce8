import { randomBytes } from 'node:crypto';

/** The epoch that this process writes in. */
export class OwnEpoch {
  #id = fresh();

  get id(): string {
    return this.#id;
  }

  /** From now on another one, that nobody knows yet. */
  renew(): void {
    this.#id = fresh();
  }
}

function fresh(): string {
  return randomBytes(8).toString('hex');
}
