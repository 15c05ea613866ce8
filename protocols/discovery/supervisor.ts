import { type Env, every, type Timer } from '../env.ts';
import {
  apply,
  emptyState,
  type Entry,
  SUPERVISOR_LIMITS,
  type SupervisorEvent,
  type SupervisorState,
  type Target,
} from './supervisor-core.ts';
import { decide } from './supervisor-decisions.ts';

/** What the supervisor needs of the host. */
export interface SupervisorComponents {
  readonly self: string;
  /** Connects and returns the peer's id. `attempt` counts the failures so far. Throws `SelfDialError` for our own address. */
  dial(target: Target, attempt: number, signal: AbortSignal): Promise<string>;
  /** One round trip over this connection. */
  ping(linkId: string, signal: AbortSignal): Promise<void>;
  /** Drops a connection at once. */
  close(linkId: string): void;
  /** The connections there are already, and every one that opens or closes from now on. Returns the way to unsubscribe. */
  watch(listener: { opened(linkId: string, peerId: string): void; closed(linkId: string): void }): () => void;
  readonly env: Pick<Env, 'after' | 'deadline' | 'monotonic' | 'now' | 'random'>;
  /** Failed dials and pings: expected, so for the debug log. */
  readonly onFailure: (what: 'dial' | 'ping', subject: string, error: unknown) => void;
}

/** Thrown by `dial` when the address turns out to be this node's own; it is not dialled again. */
export class SelfDialError extends Error {}

export interface SupervisedPeer {
  readonly kind: Target['kind'];
  /** A peer id, or a bootstrap address. */
  readonly subject: string;
  readonly connected: boolean;
  readonly dialing: boolean;
  readonly failures: number;
  /** Unix milliseconds of the next try, for the operator; undefined while connected or dialling. */
  readonly nextRetryAt: number | undefined;
}

export interface SupervisorOptions {
  readonly bootstrap: readonly string[];
  /** Candidates are dialled while fewer peers than this are connected. */
  readonly targetDegree: number;
}

/** Resolution of the supervisor's timers: the shortest wait is five times as long. */
const TICK_MS = 200;

/** Runs the supervisor's decisions over a host. */
export class Supervisor {
  readonly #parts: SupervisorComponents;
  readonly #bootstrap: readonly string[];
  readonly #state: SupervisorState;
  /** Dials and pings under way. */
  readonly #running = new Set<Promise<void>>();
  #stopping = new AbortController();
  #timer: Timer | undefined;
  #unwatch: (() => void) | undefined;
  /** A step comes as soon as what runs now has ended. */
  #queued = false;

  constructor(components: SupervisorComponents, { bootstrap, targetDegree }: SupervisorOptions) {
    this.#parts = components;
    this.#bootstrap = bootstrap;
    this.#state = emptyState(components.self, targetDegree);
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#stopping = new AbortController();
    this.#timer = every(this.#parts.env, TICK_MS, () => this.#step());
    this.#happened({ type: 'bootstrap', addresses: this.#bootstrap });
    this.#unwatch = this.#parts.watch({
      opened: (linkId, peerId) => this.#happened({ type: 'opened', linkId, peerId }),
      closed: (linkId) => this.#happened({ type: 'closed', linkId }),
    });
  }

  /** Ends every dial and ping under way; leaves the connections to the host. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#unwatch?.();
    this.#stopping.abort();
    await Promise.all(this.#running);
  }

  setRegistered(peerIds: readonly string[]): void {
    this.#happened({ type: 'registered', peerIds });
  }

  addCandidate(peerId: string): void {
    this.#happened({ type: 'candidate', peerId });
  }

  /** Tries a peer now, whatever its wait. */
  dialNow(peerId: string): void {
    this.#happened({ type: 'dial-now', peerId });
  }

  /** `from` says that a registered peer is reachable: its next redial comes before those of others, as often as `from` is believed. */
  heardOf(peerId: string, from: string): void {
    if (this.#state.entries.get(peerId)?.outageSince === undefined) return;
    this.#happened({ type: 'heard-of', peerId, from });
  }

  snapshot(): SupervisedPeer[] {
    const connected = new Set(
      [...this.#state.links.values()].filter((link) => !link.dead).map((link) => link.peerId),
    );
    return [...this.#state.entries].map(([subject, entry]) =>
      this.#shown(subject, entry, entry.peerId !== undefined && connected.has(entry.peerId)),
    );
  }

  /** One of them; costs that one alone. */
  peer(subject: string): SupervisedPeer | undefined {
    const entry = this.#state.entries.get(subject);
    if (entry === undefined) return undefined;
    const here = [...this.#state.links.values()].some((link) => !link.dead && link.peerId === entry.peerId);
    return this.#shown(subject, entry, here);
  }

  #shown(subject: string, entry: Entry, here: boolean): SupervisedPeer {
    const { now, monotonic } = this.#parts.env;
    return {
      kind: entry.target.kind,
      subject,
      connected: here,
      dialing: entry.dialing,
      failures: entry.tries,
      nextRetryAt: here || entry.dialing ? undefined : Math.round(entry.nextTryAt + now() - monotonic()),
    };
  }

  #happened(event: SupervisorEvent): void {
    const { monotonic, random } = this.#parts.env;
    apply(this.#state, event, monotonic(), random);
    if (this.#queued || this.#timer === undefined) return;
    this.#queued = true;
    queueMicrotask(() => this.#step());
  }

  #step(): void {
    this.#queued = false;
    if (this.#timer === undefined) return;
    const { monotonic, random } = this.#parts.env;
    const effects = decide(this.#state, monotonic(), random);
    for (const linkId of effects.closes) this.#parts.close(linkId);
    for (const { key, target, attempt } of effects.dials) this.#track(this.#dial(key, target, attempt));
    for (const linkId of effects.pings) this.#track(this.#ping(linkId));
  }

  #track(task: Promise<void>): void {
    this.#running.add(task);
    void task.finally(() => this.#running.delete(task));
  }

  /** Within so many milliseconds, and until this is stopped. */
  #within(ms: number): AbortSignal {
    return AbortSignal.any([this.#stopping.signal, this.#parts.env.deadline(ms)]);
  }

  async #dial(key: string, target: Target, attempt: number): Promise<void> {
    try {
      const peerId = await this.#parts.dial(target, attempt, this.#within(SUPERVISOR_LIMITS.dialMs));
      this.#happened({ type: 'dialled', key, peerId });
    } catch (error) {
      this.#parts.onFailure('dial', key, error);
      this.#happened({ type: 'dial-failed', key, forGood: error instanceof SelfDialError });
    }
  }

  async #ping(linkId: string): Promise<void> {
    const { monotonic } = this.#parts.env;
    const started = monotonic();
    try {
      await this.#parts.ping(linkId, this.#within(SUPERVISOR_LIMITS.pingTimeoutMs));
      this.#happened({ type: 'pinged', linkId, result: 'ok' });
    } catch (error) {
      // This machine was suspended: a late answer is not the peer's fault.
      const stalled = monotonic() - started > SUPERVISOR_LIMITS.pingTimeoutMs + 1000;
      if (!stalled) this.#parts.onFailure('ping', linkId, error);
      const inconclusive = stalled || this.#stopping.signal.aborted;
      this.#happened({ type: 'pinged', linkId, result: inconclusive ? 'inconclusive' : 'failed' });
    }
  }
}
