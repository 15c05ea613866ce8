import { createReadStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { z } from 'zod';
import { onStopSignals } from '../service/signals.ts';
import { systemEnv } from '../system-env.ts';
import { pause } from '../../protocols/env.ts';
import { AgrinetError, errorCode, errorMessage } from '../../protocols/errors.ts';
import { NewestPrices, NO_REGION } from '../../protocols/market/price-listings.ts';
import { readWfp } from '../../protocols/market/wfp.ts';
import { hex } from '../../protocols/wire/bytes.ts';
import { DemoNode, freePorts, until } from './demo-node.ts';
import { createNodeProgress } from './demo-progress.ts';
import { importFile } from './import-run.ts';
import { boxTable } from './box-table.ts';
import { printLine } from './output.ts';

const DATA = fileURLToPath(new URL('../../test/data/wfp-kenya-trimmed.csv', import.meta.url));
/** A machine many times slower than a laptop shows it too. */
const TIMEOUT_MS = 120_000;
/** On each node: the user who offers at the prices of the file, as with `import --listings --user market`. */
const SELLER = 'market';

interface Market {
  name: string;
  region: string;
  wanted: (region: string) => boolean;
}

/** Each row of the file belongs to one of the three. */
const MARKETS: readonly [Market, Market, Market] = [
  { name: 'nairobi', region: 'Nairobi', wanted: (region) => region === 'Nairobi' },
  { name: 'rift-valley', region: 'Rift Valley', wanted: (region) => region === 'Rift Valley' },
  { name: 'coast', region: 'Coast', wanted: (region) => region !== 'Nairobi' && region !== 'Rift Valley' },
];

const identity = z.object({ peerId: z.string(), multiaddrs: z.array(z.string()) });
const peers = z.object({
  peers: z.array(z.object({ peerId: z.string(), registered: z.boolean(), connected: z.boolean() })),
});
const joined = z.object({ peerId: z.string(), status: z.string() });
const collection = z.object({ count: z.number() });
const digest = z.object({
  digest: z.string(),
  owners: z.record(z.string(), z.object({ collections: z.record(z.string(), collection).default({}) })),
});
type Digest = z.output<typeof digest>;

interface Member {
  market: Market;
  node: DemoNode;
  peerId: string;
}

/** `agrinet demo`: three daemons on this machine that find one another, register, import and end in one state. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('run three nodes on this machine: discovery, registration, import, matching digests')
    .option('--exit', 'exit once the digests match, with status 0 only then')
    .option('--data <file>', 'a WFP price file', DATA)
    .action(async (options: { exit?: boolean; data: string }) => {
      await run(options.data, options.exit === true);
    });
}

async function run(file: string, exit: boolean): Promise<void> {
  const interrupt = new AbortController();
  const nodes: DemoNode[] = [];
  const killAll = (): void => {
    for (const node of nodes) node.kill();
  };
  // The first signal ends the demo in order, a later one at once; either way no process and no folder is left.
  const stopListening = onStopSignals(
    systemEnv,
    ['SIGINT', 'SIGTERM', 'SIGHUP'],
    (signal) => interrupt.abort(new AgrinetError('demo.interrupted', `interrupted by ${signal}`)),
    () => process.exit(1),
  );
  process.on('exit', killAll);
  try {
    const members = await converge(file, nodes, interrupt.signal);
    if (!exit) await stayUp(members, interrupt.signal);
  } finally {
    const stops = await Promise.allSettled(nodes.map(async (node) => await node.stop()));
    for (const stop of stops) {
      if (stop.status === 'rejected')
        console.error(`a node was not cleaned up: ${errorMessage(stop.reason)}`);
    }
    process.off('exit', killAll);
    stopListening();
  }
}

async function converge(file: string, nodes: DemoNode[], interrupted: AbortSignal): Promise<Member[]> {
  const started = systemEnv.monotonic();
  const expected = await countRecords(file);
  const deadline = new AbortController();
  const giveUp = (): void =>
    deadline.abort(new AgrinetError('not-converged', `${TIMEOUT_MS / 1000} s have passed`));
  const timer = systemEnv.after(TIMEOUT_MS, giveUp, { holds: true });
  const signal = AbortSignal.any([interrupted, deadline.signal]);
  const since = (): string => `${((systemEnv.monotonic() - started) / 1000).toFixed(1)} s`;
  try {
    const members = await startAll(nodes, signal);
    console.log(
      `${since()}: three nodes are up; two of them know only the address of ${members[0]?.market.name}`,
    );
    await discover(members, signal);
    console.log(`${since()}: each node has found the other two through the DHT`);
    await register(members, signal);
    console.log(`${since()}: all nodes are registered with each other`);
    const digests = await importAndReplicate(members, file, expected, signal);
    console.log(
      `${since()}: ${expected.prices} prices and ${expected.listings} listings on each node; the digests match:`,
    );
    show(members, digests);
    return members;
  } catch (error) {
    if (!signal.aborted || errorCode(error) === 'not-converged') throw error;
    throw new AgrinetError('not-converged', `the digests are not equal yet: ${errorMessage(signal.reason)}`);
  } finally {
    timer.cancel();
    deadline.abort(new AgrinetError('demo.over', 'the demo is over')); // when one node fails, the others wait no longer
  }
}

async function startAll(nodes: DemoNode[], signal: AbortSignal): Promise<Member[]> {
  // A network of its own, so that the demo neither finds nor disturbs real nodes.
  const network = `demo-${hex(systemEnv.bytes(6))}`;
  const start = async (market: Market, bootstrap: string[]): Promise<Member & { multiaddrs: string[] }> => {
    const ports = await freePorts();
    signal.throwIfAborted();
    // From here to the list without a pause: whatever ends the demo finds every process there is.
    const node = DemoNode.spawn({ name: market.name, region: market.region, network, bootstrap, ports });
    nodes.push(node);
    await node.waitUntilUp(signal);
    return { market, node, ...(await node.json(identity, '/federation/identity', signal)) };
  };
  const [firstMarket, ...otherMarkets] = MARKETS;
  const first = await start(firstMarket, []);
  const bootstrap = first.multiaddrs
    .slice(0, 1)
    .map((address) => (address.includes('/p2p/') ? address : `${address}/p2p/${first.peerId}`));
  return [first, ...(await Promise.all(otherMarkets.map(async (market) => await start(market, bootstrap))))];
}

async function discover(members: readonly Member[], signal: AbortSignal): Promise<void> {
  await Promise.all(
    members.map(async ({ node, market, peerId }) => {
      const others = members.map((member) => member.peerId).filter((other) => other !== peerId);
      await until(`${market.name} to find the others`, signal, async () => {
        const known = new Set(
          (await node.json(peers, '/federation/peers', signal)).peers.map((peer) => peer.peerId),
        );
        return others.every((other) => known.has(other));
      });
    }),
  );
}

async function register(members: readonly Member[], signal: AbortSignal): Promise<void> {
  for (const [index, member] of members.entries()) {
    for (const other of members.slice(index + 1)) {
      const { url, apiKey } = other.node;
      await member.node.json(joined, '/federation/join', signal, { url, key: apiKey });
    }
  }
}

async function importAndReplicate(
  members: readonly Member[],
  file: string,
  expected: Expected,
  signal: AbortSignal,
): Promise<Digest[]> {
  const progress = createNodeProgress(
    members.map(({ market }) => market.name),
    expected.prices + expected.listings,
  );
  const doing = new Map(members.map(({ market }) => [market.name, 'importing']));
  let digests: Digest[] = [];
  const look = async (): Promise<boolean> => {
    digests = await Promise.all(
      members.map(async ({ node }) => await node.json(digest, '/federation/digest', signal)),
    );
    for (const [index, { market }] of members.entries()) {
      progress.update(market.name, held(digests[index]), doing.get(market.name) ?? '');
    }
    const imported = members.every(({ market }) => doing.get(market.name) !== 'importing');
    const whole = digests.every((each) => held(each) === expected.prices + expected.listings);
    return imported && whole && new Set(digests.map((each) => each.digest)).size === 1;
  };
  const stopped = new AbortController();
  const either = AbortSignal.any([signal, stopped.signal]);
  try {
    await Promise.all([
      ...members.map(async (member) => {
        await importShare(member, file, either);
        doing.set(member.market.name, 'imported, replicating');
      }),
      until('equal digests', either, look),
    ]);
  } catch (error) {
    stopped.abort(error); // one import failed: the others and the wait have nothing more to do
    throw error;
  } finally {
    progress.stop();
  }
  return digests;
}

async function importShare({ market, node }: Member, file: string, signal: AbortSignal): Promise<void> {
  const { refused } = await importFile(
    { source: createReadStream(file), post: async (body) => await node.postImport(body, signal) },
    { wanted: market.wanted, seller: () => SELLER },
  );
  if (refused > 0) throw new AgrinetError('demo.import', `${market.name}: ${refused} rows were refused`);
}

interface Expected {
  prices: number;
  listings: number;
}

async function countRecords(file: string): Promise<Expected> {
  const newest = MARKETS.map(() => new NewestPrices<undefined>());
  // Equal rows are one fact.
  const prices = new Set<string>();
  try {
    for await (const row of readWfp(createReadStream(file), systemEnv.offload)) {
      if ('error' in row) throw new Error(`line ${row.line}: ${row.error}`);
      prices.add(JSON.stringify(row.price));
      const index = MARKETS.findIndex(({ wanted }) => wanted(row.price.admin1 ?? NO_REGION));
      newest[index]?.add(row.price, undefined);
    }
  } catch (error) {
    throw new AgrinetError('usage', `cannot use ${file}: ${errorMessage(error)}`, { cause: error });
  }
  return { prices: prices.size, listings: newest.reduce((sum, { size }) => sum + size, 0) };
}

/** Prices and listings a node holds, of all owners; other records are not counted. */
function held(state: Digest | undefined): number {
  let sum = 0;
  for (const { collections } of Object.values(state?.owners ?? {})) {
    sum += (collections['prices']?.count ?? 0) + (collections['listings']?.count ?? 0);
  }
  return sum;
}

function show(members: readonly Member[], digests: readonly Digest[]): void {
  const rows = members.map(({ market }, index) => {
    const state = digests[index];
    return [
      market.name,
      String(Object.keys(state?.owners ?? {}).length),
      String(held(state)),
      state?.digest ?? '',
    ];
  });
  printLine(boxTable(['Node', 'Owners', 'Records', 'Digest'], rows));
  for (const { market, node } of members) {
    console.log(
      `${market.name.padEnd(12)} ${node.url}/  ${node.url}/listings?limit=20  ${node.url}/federation/nodes`,
    );
  }
}

async function stayUp(members: readonly Member[], interrupted: AbortSignal): Promise<void> {
  console.log('The nodes keep running; press Ctrl-C to stop them and delete their data.');
  while (!interrupted.aborted) {
    await pause(systemEnv, 1_000, interrupted, { holds: true });
    if (interrupted.aborted) return;
    for (const { node } of members) node.assertRunning();
  }
}
