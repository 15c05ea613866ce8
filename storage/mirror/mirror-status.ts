import type { MirrorState } from './types.ts';

/** States that need the operator's attention. */
const TROUBLES: ReadonlySet<MirrorState> = new Set(['tables-missing', 'refused', 'denied', 'displaced']);
const CALM: ReadonlySet<MirrorState> = new Set(['running', 'filling', 'stopped']);

export interface StatusListeners {
  readonly log: (level: 'info' | 'warn', message: string, fields: Record<string, unknown>) => void;
  /** Told of a state in which the operator has to do something. */
  readonly onTrouble: (state: MirrorState, detail: string) => void;
}

/** The state of a mirror, reported once when it changes. */
export class MirrorStatus {
  readonly #listeners: StatusListeners;
  #state: MirrorState = 'starting';
  #detail = '';
  /** Of the last failure; undefined since the last attachment. */
  error: string | undefined;
  /** Unix milliseconds. */
  lastWriteAt: number | undefined;

  constructor(listeners: StatusListeners) {
    this.#listeners = listeners;
  }

  get state(): MirrorState {
    return this.#state;
  }

  get detail(): string {
    return this.#detail;
  }

  be(state: MirrorState, detail: string): void {
    const same = state === this.#state;
    this.#state = state;
    this.#detail = detail;
    if (same) return;
    this.#listeners.log(CALM.has(state) ? 'info' : 'warn', 'mirror', { state, detail });
    if (TROUBLES.has(state)) this.#listeners.onTrouble(state, detail);
  }
}
