/** What an exchange of frontiers costs both nodes together: `AUTHORS=1000 node test/bench/frontier-exchange.ts`. */
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import { identityFromSeed, type PeerId } from '../../protocols/wire/identity.ts';
import { heldFeed, myceliumPair } from '../support/mycelium-pair.ts';
import { waitFor } from '../support/wait.ts';

const AUTHORS = Number(process.env['AUTHORS'] ?? 1000);
const ROUNDS = 21;

function peerOf(n: number): PeerId {
  const seed = new Uint8Array(32);
  new DataView(seed.buffer).setUint32(0, n);
  return identityFromSeed(seed).peerId;
}

const authors = Array.from({ length: AUTHORS }, (_, n) => peerOf(n + 2));
const pair = await myceliumPair([peerOf(0), peerOf(1)]);
const [one, other] = pair.nodes;
for (const author of authors)
  for (const { feeds, digests } of pair.nodes) {
    feeds.keep(heldFeed(author, 7));
    digests.set(author, sha256Hex(author));
  }

async function measured(what: string, before: (round: number) => void): Promise<void> {
  const costs: { bytes: number; ms: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    before(round);
    const [bytes, cpu] = [pair.bytes(), process.cpuUsage()];
    const shown = other.mycelium.frontiersShown(one.peer);
    await one.mycelium.syncNow();
    await waitFor('the other side', () => other.mycelium.frontiersShown(one.peer) > shown);
    const { user, system } = process.cpuUsage(cpu);
    costs.push({ bytes: pair.bytes() - bytes, ms: (user + system) / 1000 });
  }
  const middle = costs.toSorted((a, b) => a.ms - b.ms)[ROUNDS >> 1];
  const [first] = costs;
  process.stdout.write(
    `${AUTHORS} authors, ${what}: ${middle?.bytes} B, ${middle?.ms.toFixed(1)} ms; the first time ${first?.bytes} B, ${first?.ms.toFixed(1)} ms\n`,
  );
}

await measured('equals', () => undefined);
const [moving] = authors;
if (moving !== undefined)
  await measured('one behind in one feed', (round) => one.feeds.keep(heldFeed(moving, 8 + round)));
await pair.stop();
