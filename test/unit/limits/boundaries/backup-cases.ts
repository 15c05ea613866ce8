import { constants, createZstdCompress } from 'node:zlib';
import { createBackups, SNAPSHOT_LIMITS } from '../../../../daemon/backup/backups.ts';
import { errorCode, errorMessage } from '../../../../protocols/errors.ts';
import { concat } from '../../../../protocols/wire/bytes.ts';
import { readBackup, withKeys, writeBackup } from '../../../../storage/backup/backup-file.ts';
import { BlockWriter, MAGIC } from '../../../../storage/backup/blocks.ts';
import { signEnd } from '../../../../storage/backup/end.ts';
import { encodeManifest, type Manifest } from '../../../../storage/backup/format.ts';
import type { StoredPair } from '../../../../storage/backup/records.ts';
import { HandClock } from '../../../support/hand-clock.ts';
import { nodeOf } from '../../../support/vectors/signatures.ts';
import type { BoundaryCase, CasesOf } from './case.ts';

const identity = nodeOf(1);
const manifest: Manifest = {
  format: 1,
  layout: 1,
  agrinetd: '0.1.0',
  peerId: identity.peerId,
  network: 'test',
  createdAt: 0,
  withKeys: false,
  digest: 'a'.repeat(64),
};

async function* listed<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
async function joined(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return concat(parts);
}

/** What becomes of a file. */
async function read(make: () => Promise<Uint8Array>): Promise<string> {
  try {
    await readBackup(listed([await make()]));
    return 'taken';
  } catch (error) {
    return errorCode(error) === 'backup-damaged'
      ? errorMessage(error).replace(/^not a complete backup: (.*) \(byte.*/s, '$1')
      : errorCode(error);
  }
}
const written = (pairs: readonly StoredPair[], about = manifest): Promise<Uint8Array> =>
  joined(writeBackup(identity, about, listed(pairs)));

/** A block whose head says that it has so many bytes, where nothing else is wrong up to there. */
function block(kind: number, n: number): Uint8Array {
  const head = new Uint8Array(5);
  head[0] = kind;
  new DataView(head.buffer).setUint32(1, n);
  return head;
}

/** The manifest and one data block, whose pairs zstd has compressed with such a window. */
async function withWindow(log: number): Promise<Uint8Array> {
  const zstd = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: log } });
  // In two writes, so that the frame does not say its size: a window may be smaller where that is known.
  const record = concat([Uint8Array.of(0, 1, 0, 0, 0, 3), Buffer.from('aabc')]);
  zstd.write(record.subarray(0, 5));
  zstd.end(record.subarray(5));
  const payload = concat([Uint8Array.of(0, 0), await joined(zstd)]);
  const blocks = new BlockWriter();
  const parts = [blocks.block('manifest', encodeManifest(manifest)), blocks.block('data', payload)];
  const end = signEnd(identity, blocks.hash, { records: 1, bytes: record.length });
  return concat([MAGIC, ...parts, blocks.block('end', end)]);
}

export const BACKUP_CASES = {
  manifestBytes: {
    over: 'file',
    async send(_, n) {
      const more = n - encodeManifest({ ...manifest, later: '' } as Manifest).length;
      const about = { ...manifest, later: 'x'.repeat(more) } as Manifest;
      const whole = await joined(writeBackup(identity, manifest, listed([])));
      // None is written that would not be read.
      const made = await read(() => written([], about));
      const given = await read(async () => concat([MAGIC, block(1, n), whole.subarray(0, 10)]));
      return [made, given];
    },
    gives: [
      ['taken', 'it is cut off'],
      ['taken', 'it is cut off'],
      ['internal', 'a block that cannot be'],
    ],
  },
  keyBytes: {
    over: 'file',
    send: (_, n) => read(() => written([['x'.repeat(n), Uint8Array.of(1)]])),
    gives: ['taken', 'taken', 'backup-too-large'],
  },
  gatherBytes: {
    over: 'file',
    // One record of so many bytes, its head and its key among them, and another.
    async send(_, n) {
      let blocks = 0;
      const pairs: StoredPair[] = [
        ['a', new Uint8Array(n - 7)],
        ['b', new Uint8Array(1)],
      ];
      for await (const part of writeBackup(identity, manifest, listed(pairs))) if (part[0] === 2) blocks++;
      return blocks;
    },
    gives: [1, 2, 2],
  },
  windowLog: {
    over: 'file',
    send: (_, log) => read(() => withWindow(log)),
    gives: ['taken', 'taken', 'a block does not inflate within its limit'],
  },
  keysBytes: {
    over: 'file',
    send: (_, n) =>
      read(async () =>
        joined(
          withKeys(
            listed([await written([], { ...manifest, withKeys: true })]),
            identity,
            async () => new Uint8Array(n),
          ),
        ),
      ),
    gives: ['taken', 'taken', 'internal'],
  },
  endBytes: {
    over: 'file',
    send: (_, n) =>
      read(async () => {
        const head = new BlockWriter().block('manifest', encodeManifest(manifest));
        return concat([MAGIC, head, block(4, n)]);
      }),
    gives: ['it is cut off', 'it is cut off', 'a block that cannot be'],
  },
} as const satisfies Partial<CasesOf<'storage/backup/format.ts'>>;

/** A backup of a running node, whose reader asks for the second block after so long. */
function slowly(limits?: { stalledMs: number; heldMs: number }): BoundaryCase {
  return {
    over: 'clock',
    async send({ self }, ms) {
      const clock = new HandClock();
      const { db } = self.node;
      const port = createBackups({
        db,
        identity,
        network: 'test',
        env: clock.env,
        onTaken: () => undefined,
        ...(limits && { limits }),
      });
      const source = await port.open({ withKeys: false });
      try {
        await source.next();
        await clock.pass(ms);
        return await source.next().then(() => 'goes on', errorCode);
      } finally {
        await source.return(undefined);
      }
    },
    gives: ['goes on', 'backup-stalled', 'backup-stalled'],
  };
}

export const SNAPSHOT_CASES: CasesOf<'daemon/backup/backups.ts'> = {
  stalledMs: slowly(),
  // Of a reader that asks now and then, as often as it must.
  heldMs: slowly({ ...SNAPSHOT_LIMITS, stalledMs: Infinity }),
};
