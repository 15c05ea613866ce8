import { bytesEqual } from '../../protocols/wire/bytes.ts';
import { bytesOf, decodeCbor, encodeCbor, integer, mapOf } from '../../protocols/wire/cbor.ts';
import { verifyEnvelope, signEnvelope } from '../../protocols/wire/envelope.ts';
import type { Identity, PeerId } from '../../protocols/wire/identity.ts';
import { BACKUP_ENVELOPE, damagedBackup } from './format.ts';

/** What the last block counts: records, and their bytes before compression. */
export interface Totals {
  readonly records: number;
  readonly bytes: number;
}

/** The last block: the node signs the hash of the block before, and with it the whole file. */
export function signEnd(identity: Identity, head: Uint8Array, { records, bytes }: Totals): Uint8Array {
  return signEnvelope(identity, BACKUP_ENVELOPE, encodeCbor({ v: 1, head, records, bytes }));
}

/** The totals that this node signed over that hash. Throws `backup-damaged`. */
export function verifyEnd(
  payload: Uint8Array,
  expected: { readonly peerId: PeerId; readonly head: Uint8Array; readonly at: number },
): Totals {
  const { peerId, head, at } = expected;
  const { author, map } = opened(payload, at);
  if (author !== peerId) throw damagedBackup('its signature is not that of the node it names', at);
  const named = bytesOf(map?.head, 32);
  const records = integer(map?.records, 0);
  const bytes = integer(map?.bytes, 0);
  if (map?.v !== 1 || named === undefined || records === undefined || bytes === undefined)
    throw damagedBackup('its end cannot be read', at);
  if (!bytesEqual(named, head)) throw damagedBackup('its end belongs to another file', at);
  return { records, bytes };
}

function opened(payload: Uint8Array, at: number) {
  try {
    const { author, payload: signed } = verifyEnvelope(BACKUP_ENVELOPE, payload);
    return { author, map: mapOf(decodeCbor(signed), ['v', 'head', 'records', 'bytes'] as const) };
  } catch (error) {
    throw damagedBackup('its signature does not hold', at, error);
  }
}
