import type { Env } from '../protocols/env.ts';
import { Rejoin, type RejoinCause, type RejoinStatus } from '../protocols/mycelium/rejoin.ts';
import type { Database } from '../storage/database.ts';
import { readRejoin, saveRejoin } from '../storage/rejoin-note.ts';
import type { Logger } from './logger.ts';

/** Alarms that say that entries of this node were lost. */
const LOSSES: Readonly<Record<string, RejoinCause>> = {
  'tail-lost': 'tail-lost',
  'database-damaged': 'repaired',
  'own-entries-returned': 'entries-returned',
};

/** The rejoin of a node, with what an earlier process has left unsettled. */
export async function openRejoin(
  db: Database,
  env: Pick<Env, 'after'>,
  active: () => readonly string[],
  now: () => number,
  logger: Logger,
): Promise<{
  readonly rejoin: Rejoin;
  readonly noteAlarm: (alarm: { readonly kind: string }) => void;
  readonly stop: () => Promise<void>;
}> {
  let saving: Promise<void> = Promise.resolve();
  const rejoin = new Rejoin({
    env,
    now,
    active,
    recovery: await readRejoin(db, now()),
    save: (recovery) => {
      saving = saving
        .then(() => saveRejoin(db, recovery))
        .catch((error: unknown) =>
          logger.warn(
            { err: error },
            'the peers that have answered could not be recorded; a restart asks them again',
          ),
        );
    },
    onChange: (recovery) => {
      if (recovery === undefined)
        logger.info('all active nodes have answered: new commitments are allowed again');
      else
        logger.warn(
          { cause: recovery.cause },
          'recovery fence: no new commitments until every active node has answered: agrinet rejoin',
        );
    },
  });
  return {
    rejoin,
    noteAlarm({ kind }) {
      const cause = LOSSES[kind];
      if (cause !== undefined) rejoin.lost(cause);
    },
    async stop() {
      rejoin.stop();
      await saving;
    },
  };
}

/** What waits after a loss, in a line; nothing after an ordinary start. */
export function rejoinLine({ waiting, recovery, peers }: RejoinStatus): string[] {
  if (!waiting || recovery === undefined) return [];
  const silent = peers.filter(({ answered }) => !answered).length;
  return [
    `recovery fence: no new commitments, ${silent} of ${peers.length} nodes have yet to answer (${recovery.cause}): agrinet rejoin`,
  ];
}
