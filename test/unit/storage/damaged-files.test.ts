import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitCodeFor, lastingExitCodes } from '../../../daemon/exit-codes.ts';
import { AgrinetError } from '../../../protocols/errors.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { held, openLedgerNode, pull } from '../../support/ledger-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { threadedMerger } from '../../support/merger.ts';

const merger = threadedMerger();
const [a, b] = [identityFromSeed(Buffer.alloc(32, 1)), identityFromSeed(Buffer.alloc(32, 2))];
const dir = tempDir('damaged-files');
const [base, peer, work] = [join(dir.path, 'base'), join(dir.path, 'peer'), join(dir.path, 'work')];
const listing = (i: number) => ({
  type: 'offer',
  title: `listing ${i}`,
  description: Array.from({ length: 60 }, (_, j) => Math.imul(i + 1, j + 7).toString(36)).join(''),
});

beforeAll(async () => {
  const one = await openLedgerNode(base, a, merger, () => undefined, { writeBufferBytes: 64 * 1024 });
  for (let i = 0; i < 200; i += 10)
    await Promise.all(
      Array.from({ length: 10 }, (_, j) => one.catalogue.putListing(`l${i + j}`, listing(i + j))),
    );
  await one.close();
  const again = await openLedgerNode(base, a, merger);
  await again.catalogue.putListing('last', listing(200)); // in the log
  const other = await openLedgerNode(peer, b, merger);
  await pull(again, other, [a.peerId]);
  await again.close();
  await other.close();
}, 60_000);
afterAll(async () => {
  await merger.stop();
  dir.remove();
});

/** What happens to a file or folder. */
const DAMAGE: Record<string, (path: string) => void> = {
  missing: (path) => rmSync(path, { recursive: true }),
  empty(path) {
    const isFolder = statSync(path).isDirectory();
    rmSync(path, { recursive: true });
    if (isFolder) mkdirSync(path);
    else writeFileSync(path, '');
  },
  truncated(path) {
    if (!statSync(path).isDirectory()) truncateSync(path, Math.floor(statSync(path).size / 2));
  },
  flipped(path) {
    if (statSync(path).isDirectory()) return;
    const bytes = readFileSync(path);
    for (let i = 0; i < bytes.length; i += Math.max(1, bytes.length >> 3)) bytes[i] = (bytes[i] ?? 0) ^ 0x55;
    writeFileSync(path, bytes);
  },
  replaced(path) {
    const isFolder = statSync(path).isDirectory();
    rmSync(path, { recursive: true });
    if (isFolder) writeFileSync(path, 'a file');
    else mkdirSync(path);
  },
};

/** Every file of a data folder by what it is, and one of each kind. */
function kinds(): Map<string, string> {
  const files = new Map<string, string>();
  for (const name of readdirSync(join(base, 'db')))
    files.set(`db/${name.replace(/^\d+\./, '*.').replace(/-\d+$/, '')}`, join('db', name));
  for (const name of ['db', 'initialized', 'head', '']) files.set(name || 'DATA_DIR', name);
  return files;
}

/** Opens the damaged folder: a node that is whole again with its peer, or how the process would end. */
async function start(): Promise<'whole' | AgrinetError> {
  let node;
  try {
    node = await openLedgerNode(work, a, merger);
  } catch (error) {
    if (error instanceof AgrinetError) return error;
    throw error;
  }
  const other = await openLedgerNode(peer, b, merger);
  try {
    await pull(other, node, [a.peerId]);
    await node.catalogue.putListing('written', listing(1));
    await pull(node, other, [a.peerId]);
    expect(node.digestOf(a.peerId)).toBe(other.digestOf(a.peerId));
    expect(held(node, [a.peerId])).toBe(held(other, [a.peerId]));
    return 'whole';
  } finally {
    await node.close();
    await other.close();
  }
}

describe('whatever happens to one file of the data folder', () => {
  it.each(Object.keys(DAMAGE))(
    '%s: the node is whole again, or ends with a code of its own for good',
    async (how) => {
      const outcomes: Record<string, string> = {};
      for (const [kind, name] of kinds()) {
        rmSync(work, { recursive: true, force: true });
        cpSync(base, work, { recursive: true });
        DAMAGE[how]?.(join(work, name));
        const outcome = await start();
        outcomes[kind] = outcome === 'whole' ? outcome : outcome.code;
        if (outcome === 'whole') continue;
        expect(lastingExitCodes(), `${kind}: ${outcome.code}`).toContain(exitCodeFor(outcome.code));
        expect(outcome.message, kind).not.toContain('\n');
        expect(outcome.message, kind).toContain(work);
      }
      // What LevelDB cannot do without, but can make anew out of its tables.
      for (const file of ['CURRENT', 'MANIFEST'])
        if (how !== 'replaced') expect(outcomes[`db/${file}`], file).toBe('whole');
      for (const file of ['db/*.ldb', 'db/*.log', 'db/LOG', 'db/tables.json', 'initialized'])
        if (how !== 'replaced') expect(outcomes[file], file).toBe('whole');
    },
    120_000,
  );

  // A table that is younger than the last start has no checksum beside it: what LevelDB says of it is all there is.
  it.each(['missing', 'empty', 'truncated'])(
    '%s: a table whose checksum is not noted yet',
    async (how) => {
      const tables = readdirSync(join(base, 'db')).filter((name) => name.endsWith('.ldb'));
      expect(tables.length).toBeGreaterThan(1);
      for (const name of tables) {
        rmSync(work, { recursive: true, force: true });
        cpSync(base, work, { recursive: true });
        rmSync(join(work, 'db/tables.json'));
        DAMAGE[how]?.(join(work, 'db', name));
        expect(await start(), name).toBe('whole');
      }
    },
    120_000,
  );
});
