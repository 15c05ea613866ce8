import { type Env, every } from '../../protocols/env.ts';
import { errorCode } from '../../protocols/errors.ts';
import type { HttpNodes } from '../../protocols/registry/http-nodes.ts';
import type { RegisteredNode, Registry } from '../../protocols/registry/registry.ts';
import { probeClock } from '../doctor/clock-probe.ts';
import { DOCTOR_LIMITS } from '../doctor/facts.ts';
import type { GuardedFetch } from '../federation/guarded-fetch.ts';
import { contact, emptyReach, isReached, probed, REACH_LIMITS, round, type WatchedNode } from './reach.ts';

/** Whether registered nodes are reached, over whatever: a connection, a sync, or a question that they answer. */
export interface ReachWatch {
  /** Heard from within the last 75 s. */
  isReached(id: string): boolean;
  /** When it was last heard from since this process began, milliseconds since 1970. */
  lastContactAt(id: string): number | undefined;
  /** Something else has heard from it. */
  contact(id: string): void;
  stop(): void;
}

export interface ReachWatchParts {
  readonly network: string;
  readonly fetch: GuardedFetch;
  readonly registry: Pick<Registry, 'list' | 'get'>;
  readonly httpNodes: Pick<HttpNodes, 'list' | 'get'>;
  /** Peer ids with an open connection. */
  readonly connected: () => ReadonlySet<string>;
  readonly log: (message: 'peer lost' | 'peer back', fields: Record<string, unknown>) => void;
  /** A node that was lost has been heard from again. */
  readonly onBack: (id: string) => void;
  /** Its `now` is for display, never for decisions. */
  readonly env: Pick<Env, 'now' | 'monotonic' | 'bytes' | 'after' | 'random'>;
}

export function startReachWatch(parts: ReachWatchParts): ReachWatch {
  const { now, monotonic, random } = parts.env;
  const state = emptyReach();
  const stopping = new AbortController();

  function watched(): WatchedNode[] {
    const connected = parts.connected();
    const nodes: WatchedNode[] = [];
    for (const { peerId: id, url, status } of parts.registry.list())
      if (status === 'active') nodes.push({ id, connected: connected.has(id), hasUrl: url !== '' });
    for (const { id, status } of parts.httpNodes.list())
      if (status === 'active') nodes.push({ id, connected: false, hasUrl: true });
    return nodes;
  }

  function ask(id: string): Promise<boolean> {
    const peer = parts.registry.get(id);
    if (peer !== undefined) return askPeer(parts, peer, stopping.signal);
    const old = parts.httpNodes.get(id);
    return old === undefined ? Promise.resolve(false) : askOldNode(parts.fetch, old.origin, stopping.signal);
  }

  function look(): void {
    const { probes, lost, back } = round(state, watched(), monotonic());
    for (const id of lost) parts.log('peer lost', { peer: id, ...since(id) });
    for (const id of back) {
      parts.log('peer back', { peer: id });
      parts.onBack(id);
    }
    for (const id of probes)
      void ask(id).then((answered) => probed(state, id, answered, monotonic(), random));
  }

  const lastContactAt = (id: string): number | undefined => {
    const at = state.nodes.get(id)?.lastContactAt;
    return at === undefined ? undefined : Math.round(now() - (monotonic() - at));
  };
  const since = (id: string): { since?: number } => {
    const at = lastContactAt(id);
    return at === undefined ? {} : { since: at };
  };

  look();
  const timer = every(parts.env, REACH_LIMITS.roundMs, look);
  return {
    isReached: (id) => isReached(state, id, monotonic()),
    lastContactAt,
    contact: (id) => contact(state, id, monotonic()),
    stop() {
      timer.cancel();
      stopping.abort();
    },
  };
}

/** Only the node itself can sign the answer: nobody can answer for it. */
async function askPeer(
  { fetch, network, env }: ReachWatchParts,
  { peerId, url, tlsFingerprint }: RegisteredNode,
  signal: AbortSignal,
): Promise<boolean> {
  const node = { id: peerId, label: peerId, url: url.replace(/\/+$/, ''), tlsFingerprint };
  return (await probeClock({ fetch, network, env }, node, signal)) !== undefined;
}

/** An old back end's answer cannot be verified, so any answer shows that it is there. */
const SILENT: ReadonlySet<string> = new Set(['peer-unreachable', 'peer-timeout', 'address-refused']);
const MAX_BYTES = 64 * 1024;

async function askOldNode(fetch: GuardedFetch, origin: string, signal: AbortSignal): Promise<boolean> {
  try {
    const options = { timeoutMs: DOCTOR_LIMITS.probeMs, maxBytes: MAX_BYTES, signal };
    await (await fetch(`${origin}/health`, options)).bytes();
    return true;
  } catch (error) {
    return !signal.aborted && !SILENT.has(errorCode(error) ?? '');
  }
}
