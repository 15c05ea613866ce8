import { definePart, type Face } from '../parts.ts';
import { type ReachWatch, startReachWatch } from '../reach/reach-watch.ts';
import { Scrub } from '../scrub/scrub.ts';
import type { Node } from './running.ts';
import type { Search } from './search.ts';
import type { Sources } from './sources.ts';

/** Whether registered nodes are reached, over whatever. */
export function defineReach(
  node: Pick<Node, 'settings' | 'env' | 'fetch' | 'registry' | 'host' | 'discovery' | 'logger'>,
  sources: Face<Pick<Sources, 'httpNodes'>>,
) {
  return definePart<ReachWatch>('reach watch', () => {
    const { settings, env, fetch, registry, host, discovery, logger } = node;
    const reach = startReachWatch({
      network: settings.myceliumNetwork,
      fetch,
      registry,
      httpNodes: sources.face.httpNodes,
      connected: () => new Set(host.libp2p.getPeers().map(String)),
      log: (message, fields) =>
        message === 'peer lost' ? logger.warn(fields, message) : logger.info(fields, message),
      onBack: (id) => discovery.dialNow(id),
      env,
    });
    return { face: reach, stop: () => reach.stop() };
  });
}

/** Reads everything that is held, repeatedly, and recreates what is damaged. */
export function defineScrub(
  node: Pick<Node, 'identity' | 'db' | 'store' | 'merges' | 'ledger' | 'hooks' | 'alarms' | 'env' | 'logger'>,
  search: Face<Search>,
) {
  return definePart<Scrub>('scrub', () => {
    const { identity, db, store, merges, ledger, hooks, alarms, env, logger } = node;
    const scrub = new Scrub({
      db,
      store,
      merges,
      search: search.face.index,
      checkAttachments: (wrong, pace) => store.attachments.check(identity.peerId, env.now(), wrong, pace),
      alone: (work) => ledger.alone(work),
      onRepaired: hooks.repaired.emit,
      onWrong: ({ table }, repaired) =>
        alarms.raise({ kind: repaired ? 'rows-repaired' : 'entries-damaged', table }),
      log: (message, fields) => logger.error(fields, message),
      env,
    });
    scrub.start();
    return { face: scrub, stop: () => scrub.stop() };
  });
}
