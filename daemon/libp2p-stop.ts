import type { Libp2p } from '@libp2p/interface';

/** Something with timers that its owner leaves running: a timer, or the means to end one. */
interface Stoppable {
  stop(): void;
}

/**
 * Stops libp2p together with the two timers that it leaves behind, each of a second: the debounce of its address manager, which the
 * closing of the listeners starts once more, and the heartbeat of gossipsub. Without this an ended node keeps its process for that long.
 */
export async function stopLibp2p(libp2p: Libp2p, gossip: object): Promise<void> {
  // gossipsub forgets the object that holds its timer before anybody can end it.
  const running = Reflect.get(gossip, 'status');
  try {
    await libp2p.stop();
  } finally {
    heartbeatOf(running)?.stop();
    debounceOf(libp2p)?.stop();
  }
}

function heartbeatOf(status: unknown): Stoppable | undefined {
  if (typeof status !== 'object' || status === null) return undefined;
  const timer: unknown = Reflect.get(status, 'heartbeatTimeout');
  return isTimer(timer) ? { stop: () => clearTimeout(timer) } : undefined;
}

/** The debounced function has a `stop` of its own, which libp2p never calls. */
function debounceOf(libp2p: Libp2p): Stoppable | undefined {
  const found = ['components', 'addressManager', '_updatePeerStoreAddresses'].reduce<unknown>(
    (of, name) => (isObject(of) ? Reflect.get(of, name) : undefined),
    libp2p,
  );
  if (!isObject(found)) return undefined;
  const stop: unknown = Reflect.get(found, 'stop');
  return typeof stop === 'function' ? { stop: () => void Reflect.apply(stop, found, []) } : undefined;
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function isTimer(value: unknown): value is NodeJS.Timeout {
  return isObject(value) && 'hasRef' in value && 'unref' in value;
}
