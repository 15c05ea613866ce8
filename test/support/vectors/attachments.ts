import { attachmentsOf } from '../../../protocols/market/attachment.ts';
import {
  type AttachmentRequest,
  decodeAttachmentRequest,
  encodeAttachmentRequest,
} from '../../../protocols/mycelium/attachment-protocol.ts';
import { fromHex, hex } from '../../../protocols/wire/bytes.ts';
import { type Cbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { outcomeOf } from './outcome.ts';
import { nodeOf } from './signatures.ts';

const owner = nodeOf(1).peerId;
const HASH = '11'.repeat(32);

/** Requests for attachments, and what lists in records name. */
export function attachmentVectors(): unknown {
  const record = recordKey('listings', owner, 'maize');
  const request: AttachmentRequest = { record, sha256: HASH };
  const refused: [string, Cbor][] = [
    ['a hash of 31 bytes', { record, hash: fromHex(HASH).subarray(1) }],
    ['a hash that is text', { record, hash: HASH }],
    ['no record key', { record: 'listings', hash: fromHex(HASH) }],
    ['no record', { hash: fromHex(HASH) }],
    ['a key too many', { record, hash: fromHex(HASH), channel: 'public' }],
    ['longer than a request', { record, hash: fromHex(HASH), more: 'x'.repeat(256) }],
  ];
  const ref = { sha256: HASH, type: 'image/png', size: 68, name: 'maize.png' };
  const other = { ...ref, sha256: '22'.repeat(32) };
  const lists: [string, string][] = [
    ['a URL and a reference', JSON.stringify(['https://example.org/a.png', ref])],
    ['one hash twice: the first counts', JSON.stringify([ref, { ...ref, name: 'again' }, other])],
    ['another field beside', JSON.stringify([{ ...ref, width: 10 }])],
    ['upper-case hex', JSON.stringify([{ ...ref, sha256: 'AB'.repeat(32) }])],
    ['without a name', JSON.stringify([{ ...ref, name: undefined }])],
    [
      'a size of 0, and one beyond the largest',
      JSON.stringify([
        { ...ref, size: 0 },
        { ...other, size: 1_048_577 },
      ]),
    ],
    ['no list', JSON.stringify(ref)],
    ['no JSON', '["sha256"'],
    [
      'more than sixteen',
      JSON.stringify(
        Array.from({ length: 17 }, (_, i) => ({
          ...ref,
          sha256: i.toString(16).padStart(64, '0'),
          type: '',
          name: '',
        })),
      ),
    ],
  ];
  return {
    taken: [{ name: 'a picture of a listing', request, bytes: hex(encodeAttachmentRequest(request)) }],
    refused: refused.map(([name, value]) => {
      const bytes = encodeCbor(value);
      return { name, bytes: hex(bytes), code: outcomeOf(() => decodeAttachmentRequest(bytes)) };
    }),
    references: lists.map(([name, list]) => ({
      name,
      list,
      named: attachmentsOf({ key: record, view: { images: list } }),
    })),
  };
}
