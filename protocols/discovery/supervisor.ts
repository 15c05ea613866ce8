import {
  apply,
  decide,
  emptyState,
  SUPERVISOR_LIMITS,
  type SupervisorEvent,
  type SupervisorState,
  type Target,
} from './supervisor-core.ts';

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
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  readonly random: () => number;
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

export interface Supervisor {
  start(): void;
  /** Ends every dial and ping under way; leaves the connections to the host. */
  stop(): Promise<void>;
  setRegistered(peerIds: readonly string[]): void;
  addCandidate(peerId: string): void;
  /** Tries a peer now, whatever its wait. */
  dialNow(peerId: string): void;
  snapshot(): SupervisedPeer[];
}

export interface SupervisorOptions {
  readonly bootstrap: readonly string[];
  /** Candidates are dialled while fewer peers than this are connected. */
  readonly targetDegree: number;
}

/** How finely the times of the supervisor are kept: the shortest of them is five times as long. */
const TICK_MS = 200;

/** Runs the decisions of supervisor-core over a host. */
export function createSupervisor(components: SupervisorComponents, options: SupervisorOptions): Supervisor {
  const { now, random } = components;
  const state: SupervisorState = emptyState(components.self, options.targetDegree);
  const running = new Set<Promise<void>>();
  let stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let unwatch: (() => void) | undefined;
  let queued = false;

  const happened = (event: SupervisorEvent): void => {
    apply(state, event, now(), random);
    if (queued || timer === undefined) return;
    queued = true;
    queueMicrotask(step);
  };

  function step(): void {
    queued = false;
    if (timer === undefined) return;
    const effects = decide(state, now(), random);
    for (const linkId of effects.closes) components.close(linkId);
    for (const { key, target, attempt } of effects.dials) track(dial(key, target, attempt));
    for (const linkId of effects.pings) track(ping(linkId));
  }

  function track(task: Promise<void>): void {
    running.add(task);
    void task.finally(() => running.delete(task));
  }

  async function dial(key: string, target: Target, attempt: number): Promise<void> {
    try {
      const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(SUPERVISOR_LIMITS.dialMs)]);
      const peerId = await components.dial(target, attempt, signal);
      happened({ type: 'dialled', key, peerId });
    } catch (error) {
      components.onFailure('dial', key, error);
      happened({ type: 'dial-failed', key, forGood: error instanceof SelfDialError });
    }
  }

  async function ping(linkId: string): Promise<void> {
    const started = now();
    try {
      const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(SUPERVISOR_LIMITS.pingTimeoutMs)]);
      await components.ping(linkId, signal);
      happened({ type: 'pinged', linkId, result: 'ok' });
    } catch (error) {
      const stalled = now() - started > SUPERVISOR_LIMITS.pingTimeoutMs + 1000;
      if (!stalled) components.onFailure('ping', linkId, error);
      happened({
        type: 'pinged',
        linkId,
        result: stalled || stopping.signal.aborted ? 'inconclusive' : 'failed',
      });
    }
  }

  return {
    start() {
      if (timer !== undefined) return;
      stopping = new AbortController();
      timer = setInterval(step, TICK_MS);
      timer.unref();
      happened({ type: 'bootstrap', addresses: options.bootstrap });
      unwatch = components.watch({
        opened: (linkId, peerId) => happened({ type: 'opened', linkId, peerId }),
        closed: (linkId) => happened({ type: 'closed', linkId }),
      });
    },
    async stop() {
      clearInterval(timer);
      timer = undefined;
      unwatch?.();
      stopping.abort();
      await Promise.all(running);
    },
    setRegistered: (peerIds) => happened({ type: 'registered', peerIds }),
    addCandidate: (peerId) => happened({ type: 'candidate', peerId }),
    dialNow: (peerId) => happened({ type: 'dial-now', peerId }),
    snapshot() {
      const connected = new Set(
        [...state.links.values()].filter((link) => !link.dead).map((link) => link.peerId),
      );
      const offset = Date.now() - now();
      return [...state.entries].map(([subject, entry]) => {
        const here = entry.peerId !== undefined && connected.has(entry.peerId);
        return {
          kind: entry.target.kind,
          subject,
          connected: here,
          dialing: entry.dialing,
          failures: entry.tries,
          nextRetryAt: here || entry.dialing ? undefined : Math.round(entry.nextTryAt + offset),
        };
      });
    },
  };
}
