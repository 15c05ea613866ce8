import type { PullEvent } from '../protocols/mycelium/pull-event.ts';
import type { Logger } from './logger.ts';

/** How an exchange fails whose other side is slow. */
const SLOW: ReadonlySet<string> = new Set(['pull-slow', 'answer-slow', 'stream-timeout']);
/** A peer that goes on so is named once in this time, with how often it was. */
const AGAIN_MS = 10 * 60_000;
/** Peers remembered; the one that was named longest ago is forgotten first. */
const REMEMBERED = 1024;

/** Names the peers whose exchanges were ended because they only trickled, in the log; the metrics count them by code. */
export function createSlowPeers(logger: Pick<Logger, 'warn'>, now: () => number): (event: PullEvent) => void {
  const named = new Map<string, { at: number; times: number }>();
  return (event) => {
    if (event.kind !== 'pull-failed' || !SLOW.has(event.code)) return;
    const { peer, code } = event;
    const known = named.get(peer);
    const times = (known?.times ?? 0) + 1;
    if (known !== undefined && now() - known.at < AGAIN_MS) {
      known.times = times;
      return;
    }
    named.delete(peer);
    named.set(peer, { at: now(), times: 0 });
    const [oldest] = named.keys();
    if (named.size > REMEMBERED && oldest !== undefined) named.delete(oldest);
    logger.warn({ peer, code, times }, 'a peer was too slow: what was under way with it was ended');
  };
}
