import type { RecordState } from '../protocols/open-dialog/record.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import { crc32 } from 'node:zlib';
import { innerKey } from './keyspace.ts';
import { NumberBytesError } from './number-bytes.ts';
import { decodeState } from './record-reader.ts';
import { encodeState } from './record-writer.ts';
import { valueDamaged, verifyChecksum, withChecksum } from './values.ts';

/** The position of a private record, which has none: the public order must not move with it. */
export const NO_CHANGE = 0;

/** A record as stored: its state and its place in this node's own order of public changes. */
export interface StoredRecord {
  readonly state: RecordState;
  readonly change: number;
}

/** Bytes of the change number behind the state, and of the checksum behind that. */
const CHANGE = 6;
const CHECKSUM = 4;
/** A row that begins with it is JSON. */
const BRACE = 0x7b;

/** All of a row but its change number, which is drawn last: compact, or as JSON where the state has something that only JSON holds. */
export type RecordDraft = Buffer | string;

export function draftRecord(state: RecordState): RecordDraft {
  return encodeState(state, CHANGE + CHECKSUM) ?? JSON.stringify(state);
}

/** The value of a row in `records`. A draft is one row's: its bytes become the row. */
export function recordRow(full: string, draft: RecordDraft, change: number): Uint8Array {
  if (typeof draft === 'string')
    return withChecksum(full, Buffer.from(`{"state":${draft},"change":${change}}`));
  const end = draft.length - CHECKSUM;
  draft.writeUIntBE(change, end - CHANGE, CHANGE);
  draft.writeUInt32BE(crc32(draft.subarray(0, end), crc32(full)), end);
  return draft;
}

/** The content of a row of `records`. Throws `value-damaged`. */
export function readRecordRow(full: string, stored: Uint8Array): StoredRecord {
  const value = verifyChecksum(full, stored);
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  if (bytes[0] === BRACE) return JSON.parse(bytes.toString('utf8')) as StoredRecord;
  const end = bytes.length - CHANGE;
  try {
    if (end < 0) throw new NumberBytesError('the row has no change number');
    const state = decodeState(innerKey(full) as RecordKey, bytes.subarray(0, end));
    return { state, change: bytes.readUIntBE(end, CHANGE) };
  } catch (error) {
    if (error instanceof NumberBytesError) throw valueDamaged(full, error);
    throw error;
  }
}
