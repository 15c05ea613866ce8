/** Acknowledged writes without HTTP: `node in-process.ts --records listings.ndjson` prints its figures as JSON. */
import { parseArgs } from 'node:util';
import { createBenchNode } from '../support/in-process-node.ts';
import { readListings, withoutId, type ListingFields } from './listings.ts';
import { inFlight, mainThreadCpu, temporaryFolder } from './measure.ts';

const IN_FLIGHT = 64;
const WARM_UP = 2000;

/** Acknowledged writes without HTTP: the same node in this process, 64 writes in flight, each fsynced. */
export interface InProcessWrites {
  readonly perS: number;
  /** CPU time of the main thread for each of them, microseconds. */
  readonly cpuUs: number;
}

export async function inProcessWrites(listings: readonly ListingFields[]): Promise<InProcessWrites> {
  const folder = temporaryFolder('in-process');
  const node = await createBenchNode(folder.path);
  const write = async (index: number): Promise<void> => {
    const listing = listings[index % listings.length];
    if (listing !== undefined) await node.writeListing(withoutId(listing)); // the node gives each its own id
  };
  try {
    await inFlight(WARM_UP, IN_FLIGHT, write);
    const before = mainThreadCpu(process.pid);
    const ms = await inFlight(listings.length, IN_FLIGHT, write);
    const cpuUs = (mainThreadCpu(process.pid) - before) / listings.length;
    return { perS: (listings.length / ms) * 1000, cpuUs };
  } finally {
    await node.close();
    folder.close();
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { records: { type: 'string' } } });
  process.stdout.write(`${JSON.stringify(await inProcessWrites(readListings(values.records ?? '')))}\n`);
}
