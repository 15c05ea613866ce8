import { AgrinetError } from '../../protocols/errors.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import { type Block, BlockWriter, MAGIC, readBlocks } from './blocks.ts';
import { verifyEnd, signEnd, type Totals } from './end.ts';
import { damagedBackup, decodeManifest, encodeManifest, type Manifest } from './format.ts';
import { packPairs, type StoredPair, unpackPairs } from './records.ts';

/** Writes a backup without keys, or the part of one that comes before them; block by block, with bounded memory. */
export async function* writeBackup(
  identity: Identity,
  manifest: Manifest,
  pairs: AsyncIterable<StoredPair>,
  position: (key: string) => Promise<number> = async () => 0,
): AsyncGenerator<Uint8Array> {
  const blocks = new BlockWriter();
  const totals = { records: 0, bytes: 0 };
  yield MAGIC;
  yield blocks.block('manifest', encodeManifest(manifest));
  for await (const { payload, pairs: records, bytes } of packPairs(pairs, position)) {
    totals.records += records;
    totals.bytes += bytes;
    yield blocks.block('data', payload);
  }
  yield blocks.block('end', signEnd(identity, blocks.hash, totals));
}

/**
 * A backup with its keys inserted before the end, which is signed again: the node's keys never pass through the daemon's API, so
 * they are added here. `keysOf` gets the manifest to which they are bound.
 */
export async function* withKeys(
  source: AsyncIterable<Uint8Array>,
  identity: Identity,
  keysOf: (manifest: Uint8Array) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let keys: Uint8Array = new Uint8Array(0);
  yield MAGIC;
  for await (const block of readBlocks(source)) {
    if (block.kind === 'manifest') keys = await keysOf(block.payload);
    if (block.kind !== 'end') {
      yield block.bytes;
      continue;
    }
    const { before: head, at } = block;
    const totals = verifyEnd(block.payload, { peerId: identity.peerId, head, at });
    const blocks = new BlockWriter(head);
    yield blocks.block('keys', keys);
    yield blocks.block('end', signEnd(identity, blocks.hash, totals));
    return;
  }
}

/** A backup that was read to its end and holds. */
export interface ReadBackup extends Totals {
  readonly manifest: Manifest;
  /** The manifest as stored in the file: the keys are bound to it. */
  readonly manifestBytes: Uint8Array;
  /** The encrypted keys, when there are some. */
  readonly keys: Uint8Array | undefined;
}

/** Receives the contents of a backup while it is read. They are valid only once `readBackup` has resolved. */
export interface BackupSink {
  /** Before anything else; may refuse by throwing. */
  manifest?(manifest: Manifest): void;
  pairs?(pairs: readonly StoredPair[]): Promise<void>;
}

/**
 * Reads a whole backup: chain, counts, order of the keys and the node's signature. Throws `backup-damaged` and `backup-newer`, and
 * what the sink throws.
 */
export async function readBackup(
  source: AsyncIterable<Uint8Array>,
  sink: BackupSink = {},
): Promise<ReadBackup> {
  let begun: { manifest: Manifest; manifestBytes: Uint8Array } | undefined;
  let keys: Uint8Array | undefined;
  let done: ReadBackup | undefined;
  let lastKey: Buffer | undefined;
  const totals = { records: 0, bytes: 0 };

  async function data({ payload, at }: Block): Promise<void> {
    const { pairs, bytes } = await unpackPairs(payload, at);
    for (const [key] of pairs) {
      const name = Buffer.from(key);
      if (lastKey !== undefined && Buffer.compare(lastKey, name) >= 0)
        throw damagedBackup('its records are not in order', at);
      lastKey = name;
    }
    totals.records += pairs.length;
    totals.bytes += bytes;
    await sink.pairs?.(pairs);
  }

  for await (const block of readBlocks(source)) {
    const { kind, payload, at } = block;
    if (done !== undefined) throw damagedBackup('something follows its end', at);
    if ((kind === 'manifest') !== (begun === undefined) || (keys !== undefined && kind !== 'end'))
      throw damagedBackup('its blocks are not in order', at);
    if (begun === undefined) {
      const manifest = decodeManifest(payload);
      if (manifest === undefined) throw damagedBackup('its manifest cannot be read', at);
      begun = { manifest, manifestBytes: payload };
      sink.manifest?.(manifest);
    } else if (kind === 'data') await data(block);
    else if (kind === 'keys') keys = payload;
    else {
      if (begun.manifest.withKeys !== (keys !== undefined))
        throw damagedBackup('its keys are missing, or should not be there', at);
      const signed = verifyEnd(payload, { peerId: begun.manifest.peerId, head: block.before, at });
      if (signed.records !== totals.records || signed.bytes !== totals.bytes)
        throw damagedBackup('records are missing', at);
      done = { ...begun, ...totals, keys };
    }
  }
  if (done === undefined) throw damagedBackup('it is cut off', 0);
  return done;
}

/** Refuses a backup whose database only a newer program can read. Throws `backup-newer`. */
export function refuseNewer({ layout, agrinetd }: Manifest, known: number): void {
  if (layout <= known) return;
  throw new AgrinetError(
    'backup-newer',
    `agrinetd ${agrinetd.replace(/[^\w.+-]/g, '?')} wrote this backup with database layout ${layout}, this one knows ${known}. Install that version, then restore.`,
  );
}
