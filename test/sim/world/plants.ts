import { decodeEntry } from '../../../protocols/feed/entry.ts';
import { ENTRY_ENVELOPE } from '../../../protocols/feed/header.ts';
import type { ReadEntry } from '../../../protocols/ledger/read-entry.ts';
import type { Ledger, Received } from '../../../protocols/ledger/types.ts';
import type { Rejoin } from '../../../protocols/mycelium/rejoin.ts';
import { signatureHolds } from '../../../protocols/wire/envelope.ts';
import type { Store } from '../../../storage/store.ts';

/** Faults that are planted to see that a world finds them. */
export const PLANTS = ['drop-fence', 'accept-fork', 'lose-write'] as const;
export type Plant = (typeof PLANTS)[number];

export function isPlant(text: string | undefined): text is Plant {
  return PLANTS.some((plant) => plant === text);
}

/** Where a node is other than it should be; without a fault planted it is as it is. */
export interface Planting {
  ledger(ledger: Ledger, store: Store): Ledger;
  rejoin(rejoin: Rejoin): Rejoin;
}

export function plantingOf(plant: Plant | undefined): Planting {
  return {
    ledger: (ledger, store) => (plant === 'accept-fork' ? deafToForks(ledger, store) : ledger),
    // Promises go on after a restore, whatever peers still have to say.
    rejoin: (rejoin) =>
      plant === 'drop-fence' ? Object.assign(rejoin, { awaitFence: () => Promise.resolve() }) : rejoin,
  };
}

/** Takes whichever branch comes first, and nobody's word that there is another. */
function deafToForks(ledger: Ledger, store: Store): Ledger {
  const known: Received = { kind: 'known' };
  async function isSecond(given: Uint8Array | ReadEntry): Promise<boolean> {
    const { author, envelope, hash, header } = given instanceof Uint8Array ? decodeEntry(given) : given.entry;
    if (!signatureHolds(ENTRY_ENVELOPE, envelope)) return false;
    const feed = store.feed(author, header.channel, header.epoch);
    if (feed === undefined || header.seq > feed.seq) return false;
    return (await store.entry(feed.no, header.seq))?.hash !== hash;
  }
  return {
    ...ledger,
    epoch: () => ledger.epoch(),
    async receive(entries, publicOnly, from) {
      const results: Received[] = [];
      for (const given of entries) {
        const second = await isSecond(given).catch(() => false);
        results.push(second ? known : ((await ledger.receive([given], publicOnly, from))[0] ?? known));
      }
      return results;
    },
    receiveProof: async () => 'known',
  };
}
