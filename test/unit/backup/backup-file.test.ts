import { createHash } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errorCode, errorMessage } from '../../../protocols/errors.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { readBackup, refuseNewer, withKeys, writeBackup } from '../../../storage/backup/backup-file.ts';
import { BlockWriter, MAGIC } from '../../../storage/backup/blocks.ts';
import { signEnd } from '../../../storage/backup/end.ts';
import { BACKUP_LIMITS, encodeManifest, type Manifest } from '../../../storage/backup/format.ts';
import type { StoredPair } from '../../../storage/backup/records.ts';

const identity = identityFromSeed(new Uint8Array(32).fill(7));
const stranger = identityFromSeed(new Uint8Array(32).fill(8));
const manifest: Manifest = {
  format: 1,
  layout: 1,
  agrinetd: '0.1.0',
  peerId: identity.peerId,
  network: 'test',
  createdAt: 1_790_000_000_000,
  withKeys: false,
  digest: 'a'.repeat(64),
};

async function* listed<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
async function joined(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}
const written = (pairs: readonly StoredPair[], about = manifest): Promise<Buffer> =>
  joined(writeBackup(identity, about, listed(pairs)));

async function read(bytes: Uint8Array, size = 65_536) {
  const pairs: StoredPair[] = [];
  const backup = await readBackup(cut(bytes, size), { pairs: async (more) => void pairs.push(...more) });
  return { ...backup, pairs };
}
/** Code and text of the refusal, which has to be one line. */
async function refused(bytes: Uint8Array): Promise<{ code: string; text: string }> {
  try {
    await read(bytes);
  } catch (error) {
    expect(String(error)).not.toContain('\n');
    return { code: errorCode(error), text: errorMessage(error) };
  }
  throw new Error('it was taken');
}
const shown = (pairs: readonly StoredPair[]): string[] =>
  pairs.map(([key, value]) => `${key}=${Buffer.from(value).toString('hex')}`);

/** Pairs as a database has them: each key once, in the order of its bytes. */
const table = fc
  .uniqueArray(fc.tuple(fc.string({ unit: 'binary', maxLength: 40 }), fc.uint8Array({ maxLength: 3000 })), {
    selector: ([key]) => key,
    maxLength: 40,
  })
  .map((pairs) => pairs.toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))));

const some: StoredPair[] = Array.from({ length: 5 }, (_, i) => [`r!${i}`, new Uint8Array(20).fill(i)]);

describe('a backup', () => {
  it('is read as it was written, however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(table, fc.integer({ min: 1, max: 5000 }), async (pairs, size) => {
        const found = await read(await written(pairs), size);
        expect(shown(found.pairs)).toEqual(shown(pairs));
        expect(found).toMatchObject({ manifest, records: pairs.length, keys: undefined });
      }),
      { numRuns: 60 },
    );
  });

  it('goes into many blocks, none of them large', async () => {
    const pairs: StoredPair[] = Array.from({ length: 400 }, (_, i) => [
      `e!${String(i).padStart(4, '0')}`,
      new Uint8Array(createHash('shake256', { outputLength: 4000 }).update(String(i)).digest()),
    ]);
    let blocks = 0;
    let largest = 0;
    for await (const part of writeBackup(identity, manifest, listed(pairs))) {
      blocks++;
      largest = Math.max(largest, part.length);
    }
    expect(blocks).toBeGreaterThan(6);
    expect(largest).toBeLessThan(BACKUP_LIMITS.gatherBytes * 1.2);
    expect((await read(await written(pairs))).records).toBe(400);
  });

  it('takes a value of the largest size, and refuses to write a larger one', async () => {
    const value = new Uint8Array(BACKUP_LIMITS.valueBytes);
    expect((await read(await written([['r!a', value]]))).records).toBe(1);
    const larger = written([['r!a', new Uint8Array(BACKUP_LIMITS.valueBytes + 1)]]);
    await expect(larger).rejects.toMatchObject({ code: 'backup-too-large' });
  });

  it('carries keys that were put in behind the records', async () => {
    const about = { ...manifest, withKeys: true };
    const keys = Buffer.from('{"sealed": true}');
    let bound: Uint8Array | undefined;
    const source = cut(await written(some, about), 100);
    const whole = await joined(
      withKeys(source, identity, async (bytes) => {
        bound = bytes;
        return keys;
      }),
    );
    const found = await read(whole);
    expect(shown(found.pairs)).toEqual(shown(some));
    expect(Buffer.from(found.keys ?? [])).toEqual(keys);
    expect(Buffer.from(bound ?? [])).toEqual(Buffer.from(encodeManifest(about)));
    // As the daemon streams it, it is none yet.
    expect((await refused(await written(some, about))).code).toBe('backup-damaged');
  });
});

describe('a backup that is not whole', () => {
  it('is refused with every byte of it flipped', async () => {
    const bytes = await written(some);
    for (let at = 0; at < bytes.length; at++) {
      for (const mask of [0x01, 0x80]) {
        const copy = Buffer.from(bytes);
        copy[at] = (copy[at] ?? 0) ^ mask;
        expect((await refused(copy)).code, `byte ${at}`).toBe('backup-damaged');
      }
    }
  });

  it('is refused wherever it is cut off', async () => {
    const bytes = await written(some);
    for (let length = 0; length < bytes.length; length++)
      expect((await refused(bytes.subarray(0, length))).code, `${length} bytes`).toBe('backup-damaged');
  });

  it('is refused with anything behind it, itself too', async () => {
    const bytes = await written(some);
    for (const more of [Buffer.of(0), Buffer.alloc(100), bytes, bytes.subarray(MAGIC.length)])
      expect((await refused(Buffer.concat([bytes, more]))).code).toBe('backup-damaged');
  });

  it('is refused with blocks in another order, or of another backup', async () => {
    const pairs: StoredPair[] = Array.from({ length: 6 }, (_, i) => [
      `e!${i}`,
      new Uint8Array(createHash('shake256', { outputLength: 200_000 }).update(String(i)).digest()),
    ]);
    const parts: Buffer[] = [];
    for await (const part of writeBackup(identity, manifest, listed(pairs))) parts.push(Buffer.from(part));
    const [magic, head, first, second, ...rest] = parts;
    if (magic === undefined || head === undefined || first === undefined || second === undefined)
      throw new Error('too few blocks');
    const swapped = Buffer.concat([magic, head, second, first, ...rest]);
    const without = Buffer.concat([magic, head, first, ...rest]);
    const twice = Buffer.concat([magic, head, first, first, second, ...rest]);
    for (const bytes of [swapped, without, twice]) expect((await refused(bytes)).code).toBe('backup-damaged');
  });

  it('is refused when it is something else altogether', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        expect((await refused(bytes)).code).toBe('backup-damaged');
        expect((await refused(Buffer.concat([MAGIC, bytes]))).code).toBe('backup-damaged');
      }),
    );
  });
});

/** A file whose chain holds, made of these blocks: what somebody can make who knows the format. */
function forged(blocks: readonly ['manifest' | 'data' | 'keys', Uint8Array][], signer = identity): Buffer {
  const writer = new BlockWriter();
  const parts = blocks.map(([kind, payload]) => writer.block(kind, payload));
  const end = writer.block('end', signEnd(signer, writer.hash, { records: 0, bytes: 0 }));
  return Buffer.concat([MAGIC, ...parts, end]);
}
const head = (fields: Partial<Record<keyof Manifest, unknown>> = {}): ['manifest', Uint8Array] => [
  'manifest',
  Buffer.from(JSON.stringify({ ...manifest, ...fields })),
];

const data = (compressed: Uint8Array): ['data', Uint8Array] => [
  'data',
  Buffer.concat([Buffer.of(0, 0), compressed]),
];

describe('a hostile backup', () => {
  it('is refused when another key has signed it', async () => {
    expect((await refused(forged([head()], stranger))).text).toContain('not that of the node');
  });

  it('is refused when it inflates beyond its limit, with little memory', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(512 * 1024 * 1024));
    expect(bomb.length).toBeLessThan(BACKUP_LIMITS.blockBytes);
    const before = process.memoryUsage().rss;
    expect((await refused(forged([head(), data(bomb)]))).text).toContain('does not inflate');
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
  });

  it('is refused when a block says that it is huge, before it is read', async () => {
    for (const kind of [1, 2, 3, 4]) {
      const claim = Buffer.alloc(5);
      claim[0] = kind;
      claim.writeUInt32BE(0xffff_ffff, 1);
      let taken = 0;
      async function* endless(): AsyncGenerator<Uint8Array> {
        yield Buffer.concat([MAGIC, claim]);
        for (;;) {
          taken += 65_536;
          yield new Uint8Array(65_536);
        }
      }
      await expect(readBackup(endless())).rejects.toMatchObject({ code: 'backup-damaged' });
      expect(taken).toBe(0);
    }
  });

  it('is refused when records lie about their lengths, keys repeat, go back, or are no text', async () => {
    const pair = (key: Uint8Array, value: Uint8Array, valueLength = value.length): Buffer => {
      const lengths = Buffer.alloc(6);
      lengths.writeUInt16BE(key.length, 0);
      lengths.writeUInt32BE(valueLength, 2);
      return Buffer.concat([lengths, key, value]);
    };
    const [a, b] = [Buffer.from('r!a'), Buffer.from('r!b')];
    const nothing = new Uint8Array(0);
    for (const raw of [
      pair(a, nothing, 0xffff_ffff),
      Buffer.concat([pair(a, nothing), Buffer.of(0, 1)]),
      Buffer.concat([pair(b, nothing), pair(a, nothing)]),
      Buffer.concat([pair(a, nothing), pair(a, nothing)]),
      pair(Buffer.of(0xff, 0xfe), nothing),
    ])
      expect((await refused(forged([head(), data(zstdCompressSync(raw))]))).code).toBe('backup-damaged');
    expect((await refused(forged([head(), data(Buffer.from('no zstd'))]))).code).toBe('backup-damaged');
    // Fewer records than it signs, and more.
    const more = forged([head(), data(zstdCompressSync(pair(a, nothing)))]);
    expect((await refused(more)).text).toContain('records are missing');
  });

  it('is refused when its manifest is missing, comes twice, or is none', async () => {
    const cases = [
      forged([]),
      forged([data(new Uint8Array(0))]),
      forged([head(), head()]),
      forged([head(), ['keys', new Uint8Array(0)]]),
      forged([head({ withKeys: true })]),
      forged([head({ withKeys: true }), ['keys', new Uint8Array(0)], data(zstdCompressSync(''))]),
      forged([head({ peerId: 'nobody' })]),
      forged([head({ digest: 'short' })]),
      forged([head({ format: 0 })]),
      forged([['manifest', Buffer.from('[]')]]),
    ];
    for (const bytes of cases) expect((await refused(bytes)).code).toBe('backup-damaged');
    await expect(refused(forged([head({ added: 'later' } as object)]))).rejects.toThrow('it was taken');
  });
});

describe('a backup of a newer version', () => {
  it('is told from a damaged one by its first line', async () => {
    const bytes = await written(some);
    for (const version of ['2', '9', '10', '123']) {
      const rest = bytes.subarray(MAGIC.length);
      const newer = Buffer.concat([Buffer.from(`agrinet-backup ${version}\n`), rest]);
      expect((await refused(newer)).code, version).toBe('backup-newer');
    }
    for (const line of ['agrinet-backup 0\n', 'agrinet-backup x\n', 'agrinet-backup 2', 'agrinet-feed 1\n'])
      expect((await refused(Buffer.from(line))).code, line).toBe('backup-damaged');
  });

  it('is told by the layout of its database', () => {
    expect(() => refuseNewer({ ...manifest, layout: 2 }, 1)).toThrow(/layout 2.*knows 1/);
    expect(() => refuseNewer(manifest, 1)).not.toThrow();
  });
});
