import {
  decodeSnapshotRequest,
  encodeSnapshotRequest,
  type SnapshotRequest,
} from '../../../protocols/mycelium/snapshot-request.ts';
import { fromHex, hex } from '../../../protocols/wire/bytes.ts';
import { type Cbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import { outcomeOf } from './outcome.ts';
import { nodeOf } from './signatures.ts';

const author = nodeOf(1).peerId;
const ID = '11'.repeat(32);

/** Requests for snapshots, and an answer over HTTPS. */
export function snapshotVectors(): unknown {
  const id = fromHex(ID);
  const taken: [string, SnapshotRequest][] = [
    ['the checkpoints of an author', { kind: 'checkpoints', author }],
    ['the hashes of the records', { kind: 'hashes', author, checkpoint: ID, list: 'records' }],
    ['the first chunk of the evidence', chunks('evidence', 0, 0)],
    ['as many chunks as there may be', chunks('records', 64, 127)],
    ['the last chunk that has a number', chunks('records', 0xffff_ffff, 0xffff_ffff)],
  ];
  const refused: [string, Cbor][] = [
    ['an unknown kind', [3, author]],
    ['no list', [1, author, id]],
    ['an unknown list', [1, author, id, 2]],
    ['an author that is none', [0, 'author']],
    ['an id of 31 bytes', [1, author, id.subarray(1), 0]],
    ['more after the author', [0, author, id]],
    ['no last chunk', [2, author, id, 0, 0]],
    ['the last chunk before the first', [2, author, id, 0, 1, 0]],
    ['one chunk too many', [2, author, id, 0, 0, 64]],
    ['a number that no chunk has', [2, author, id, 0, 0x1_0000_0000, 0x1_0000_0000]],
    ['a negative number', [2, author, id, 0, -1, 0]],
    ['a map', { author }],
    ['longer than a request', [0, author, new Uint8Array(128)]],
  ];
  const frames = [Uint8Array.of(0, 0x81, 0x41, 0x07), id];
  return {
    taken: taken.map(([name, request]) => ({
      name,
      request: { ...request },
      bytes: hex(encodeSnapshotRequest(request)),
    })),
    refused: refused.map(([name, value]) => {
      const bytes = encodeCbor(value);
      return { name, bytes: hex(bytes), code: outcomeOf(() => decodeSnapshotRequest(bytes)) };
    }),
    sequence: {
      frames: frames.map(hex),
      bytes: [...frames, new Uint8Array(0)].map((frame) => hex(encodeCbor(frame))).join(''),
    },
  };
}

function chunks(list: 'records' | 'evidence', first: number, last: number): SnapshotRequest {
  return { kind: 'chunks', author, checkpoint: ID, list, first, last };
}
