import { createHash } from 'node:crypto';
import { AgrinetError } from '../../protocols/errors.ts';
import { bytesEqual, concat } from '../../protocols/wire/bytes.ts';
import { BACKUP_FORMAT, BACKUP_LIMITS, damagedBackup } from './format.ts';

const NAME = 'agrinet-backup ';
/** The first line of every backup: the name and the version of the format. */
export const MAGIC: Uint8Array = new TextEncoder().encode(`${NAME}${BACKUP_FORMAT}\n`);

/** Kinds of blocks, by their number in the file, and how long each may be. */
const BLOCKS = {
  manifest: { number: 1, bytes: BACKUP_LIMITS.manifestBytes },
  data: { number: 2, bytes: BACKUP_LIMITS.blockBytes },
  keys: { number: 3, bytes: BACKUP_LIMITS.keysBytes },
  end: { number: 4, bytes: BACKUP_LIMITS.endBytes },
} as const;
export type BlockKind = keyof typeof BLOCKS;
const kinds = Object.keys(BLOCKS) as BlockKind[];

const HEAD_BYTES = 5;
const HASH_BYTES = 32;

/** One block as read: its chain hash holds. */
export interface Block {
  readonly kind: BlockKind;
  readonly payload: Uint8Array;
  /** Where it begins in the file. */
  readonly at: number;
  /** Hash of the block before it. */
  readonly before: Uint8Array;
  /** The complete block as stored in the file. */
  readonly bytes: Uint8Array;
}

/** SHA-256 over the hash before, kind, length and payload: no block can be changed, moved, left out or put in unseen. */
function chainHash(before: Uint8Array, head: Uint8Array, payload: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(before).update(head).update(payload).digest());
}

/** Makes blocks, each chained to the one before; it begins behind the magic line, or behind a block that was read. */
export class BlockWriter {
  #hash: Uint8Array;

  constructor(hash: Uint8Array = FIRST) {
    this.#hash = hash;
  }

  /** Hash of the last block. */
  get hash(): Uint8Array {
    return this.#hash;
  }

  block(kind: BlockKind, payload: Uint8Array): Uint8Array {
    if (payload.length > BLOCKS[kind].bytes)
      throw new AgrinetError('internal', `a ${kind} block of ${payload.length} bytes is too long`);
    const head = headOf(kind, payload.length);
    this.#hash = chainHash(this.#hash, head, payload);
    return concat([head, payload, this.#hash]);
  }
}

const FIRST: Uint8Array = new Uint8Array(createHash('sha256').update(MAGIC).digest());

function headOf(kind: BlockKind, length: number): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  head[0] = BLOCKS[kind].number;
  new DataView(head.buffer).setUint32(1, length);
  return head;
}

/**
 * Reads blocks strictly up to the end of the source, one held at a time, its length bounded before it is. Throws `backup-newer`
 * and `backup-damaged`; that the last one is an `end` is for the caller to see.
 */
export async function* readBlocks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Block> {
  const bytes = new ByteReader(source);
  try {
    await readMagic(bytes);
    let before: Uint8Array = FIRST;
    for (;;) {
      const at = bytes.at;
      const head = await bytes.take(HEAD_BYTES);
      if (head.length === 0) return;
      if (head.length < HEAD_BYTES) throw damagedBackup('it is cut off', bytes.at);
      const length = new DataView(head.buffer, head.byteOffset).getUint32(1);
      const kind = kinds.find((each) => BLOCKS[each].number === head[0]);
      if (kind === undefined || length > BLOCKS[kind].bytes)
        throw damagedBackup('a block that cannot be', at);
      const rest = await bytes.take(length + HASH_BYTES);
      if (rest.length < length + HASH_BYTES) throw damagedBackup('it is cut off', bytes.at);
      const payload = rest.subarray(0, length);
      const hash = chainHash(before, head, payload);
      if (!bytesEqual(hash, rest.subarray(length))) throw damagedBackup('a checksum does not hold', at);
      yield { kind, payload, at, before, bytes: concat([head, rest]) };
      before = hash;
    }
  } finally {
    await bytes.close();
  }
}

async function readMagic(bytes: ByteReader): Promise<void> {
  const magic = await bytes.take(MAGIC.length);
  if (bytesEqual(magic, MAGIC)) return;
  const text = Buffer.from(magic).toString('latin1');
  const version = text.startsWith(NAME) ? /^[1-9]\d*(?=\n?$)/.exec(text.slice(NAME.length))?.[0] : undefined;
  if (version !== undefined && Number(version) > BACKUP_FORMAT && magic.length === MAGIC.length)
    throw new AgrinetError(
      'backup-newer',
      `a newer agrinetd wrote this backup (its format is not ${BACKUP_FORMAT}). Install that version, then restore.`,
    );
  throw damagedBackup('it does not begin like one', 0);
}

/** Pieces of a source in the lengths that are asked for; no more is held than that and one chunk. */
class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);
  at = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** So many bytes; fewer only where the source ends. */
  async take(length: number): Promise<Uint8Array> {
    const parts = [this.#rest];
    let held = this.#rest.length;
    while (held < length) {
      const { done, value } = await this.#source.next();
      if (done === true) break;
      parts.push(value);
      held += value.length;
    }
    const all = parts.length === 1 ? this.#rest : concat(parts);
    const taken = all.subarray(0, length);
    this.#rest = all.subarray(taken.length);
    this.at += taken.length;
    return taken;
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}
