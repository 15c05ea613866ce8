/** Acknowledged writes without HTTP: `node in-process.ts --records listings.ndjson` prints writes/s. */
import { parseArgs } from 'node:util';
import { createBenchNode } from '../support/in-process-node.ts';
import { readListings, withoutId, type ListingFields } from './listings.ts';
import { inFlight, temporaryFolder } from './measure.ts';

const IN_FLIGHT = 64;
const WARM_UP = 2000;

/** Acknowledged writes/s without HTTP: the same node in this process, 64 writes in flight, each fsynced. */
export async function inProcessWrites(listings: readonly ListingFields[]): Promise<number> {
  const folder = temporaryFolder('in-process');
  const node = await createBenchNode(folder.path);
  const write = async (index: number): Promise<void> => {
    const listing = listings[index % listings.length];
    if (listing !== undefined) await node.writeListing(withoutId(listing)); // the node gives each its own id
  };
  try {
    await inFlight(WARM_UP, IN_FLIGHT, write);
    return (listings.length / (await inFlight(listings.length, IN_FLIGHT, write))) * 1000;
  } finally {
    await node.close();
    folder.close();
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { records: { type: 'string' } } });
  process.stdout.write(`${await inProcessWrites(readListings(values.records ?? ''))}\n`);
}
