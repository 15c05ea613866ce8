import { every } from '../../protocols/env.ts';
import type { HeldContract, ContractBook } from '../../protocols/market/contract-book/types.ts';
import { openContractBook } from '../../protocols/market/contract-book/book.ts';
import { createCatalogue } from '../../protocols/market/catalogue.ts';
import type { Ratings } from '../../protocols/market/ratings.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { Json } from '../../protocols/wire/json.ts';
import { publicIdOf } from '../../protocols/wire/ids.ts';
import type { Reader } from '../../storage/reader.ts';
import { refuseWrongClock } from '../clock-line.ts';
import type { Listens } from '../hooks.ts';
import type { Started } from '../parts.ts';
import type { Node } from '../parts/running.ts';
import type { Directory } from '../users/directory.ts';
import { fieldHistory } from './field-history.ts';

/** How often holds that may have expired are checked, milliseconds. */
const HOLD_SWEEP_MS = 1000;

/** What contracts use of the node. */
export type ContractsNode = Pick<
  Node,
  'identity' | 'settings' | 'clock' | 'env' | 'store' | 'registry' | 'ledger' | 'events' | 'rejoin' | 'logger'
> &
  Listens<'committed'>;

/** Opens the contracts of a running node and maintains them: holds end, progress is reported, listings show what is left. */
export function startContracts(
  node: ContractsNode,
  reader: Reader,
  ratings: Pick<Ratings, 'current' | 'contractOf'>,
  users: Pick<Directory, 'isUser'>,
): Started<ContractBook> {
  const { identity, settings, ledger, registry, events, logger, clock, env } = node;
  const book = openContractBook({
    identity,
    net: settings.myceliumNetwork,
    ledger,
    catalogue: createCatalogue(ledger, identity.peerId, env),
    reader,
    ratedAt: (contract) => ratedAt(contract, ratings),
    ratedContract: (rating) => ratings.contractOf(rating),
    history: fieldHistory(node.store),
    isActive: (peer) => registry.isActive(peer),
    isUser: (userId) => users.isUser(userId),
    bytes: env.bytes,
    now: clock.cautious, // a hold that is ended cannot be begun again
    awaitFence: async () => {
      refuseWrongClock(clock.wall()); // what is promised has an end, and is dated
      await node.rejoin.awaitFence();
    },
    onPing: (userId, contract, ping) =>
      events.emit('ping.update', { contractId: publicIdOf(contract), ping: newsOf(ping) }, { userId }),
    onFailure: (error) => logger.warn({ err: error }, 'contracts could not be checked'),
  });
  node.hooks.committed.on('contracts', ({ changes }) => book.note(changes));
  const sweeper = every(env, HOLD_SWEEP_MS, () => {
    book
      .sweep()
      .catch((error: unknown) => logger.warn({ err: error }, 'a hold could not be released; retrying'));
  });
  return {
    face: book,
    stop() {
      sweeper.cancel();
      return book.stop();
    },
  };
}

/** When one party of a contract last rated the other. */
async function ratedAt(
  { state, contract: { parties } }: HeldContract,
  ratings: Pick<Ratings, 'current'>,
): Promise<number> {
  const [one, other] = parties;
  const given = await Promise.all([
    ratings.current(state.key, one, other),
    ratings.current(state.key, other, one),
  ]);
  return Math.max(0, ...given.map((rating) => rating?.ratedAt ?? 0));
}

/** The fields of a progress report, without those of its record. */
function newsOf({ key, view }: RecordState): Record<string, Json> {
  const said: Record<string, Json> = { id: publicIdOf(key) };
  for (const field of ['from', 'status', 'percentComplete', 'notes', 'sentAt']) {
    const value = view[field];
    if (value !== undefined) said[field] = value;
  }
  return said;
}
