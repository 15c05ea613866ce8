import type { Env } from '../env.ts';
import { hex } from '../wire/bytes.ts';

/** The epoch that this process writes in. */
export class OwnEpoch {
  readonly #env: Pick<Env, 'bytes'>;
  #id: string;

  constructor(env: Pick<Env, 'bytes'>) {
    this.#env = env;
    this.#id = freshEpoch(env);
  }

  get id(): string {
    return this.#id;
  }

  /** Switches to a new epoch, which no other node knows yet. */
  renew(): void {
    this.#id = freshEpoch(this.#env);
  }
}

function freshEpoch({ bytes }: Pick<Env, 'bytes'>): string {
  return hex(bytes(8));
}
