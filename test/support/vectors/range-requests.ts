import {
  decodeRangeRequest,
  encodeRangeRequest,
  type RangeRequest,
} from '../../../protocols/mycelium/range.ts';
import { fromHex, hex } from '../../../protocols/wire/bytes.ts';
import { type Cbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import { outcomeOf } from './outcome.ts';
import { nodeOf } from './signatures.ts';
import { badFrontierItems } from './wire.ts';

const author = nodeOf(1).peerId;
const epochOf = (n: number): string => n.toString(16).padStart(16, '0');
const HASH = '11'.repeat(32);

/** Range requests: those that are taken as what they say and as bytes, and bytes that are refused. */
export function rangeRequestVectors(): unknown {
  const held = (n: number): RangeRequest['have'][number] => ({ epoch: epochOf(n), seq: 1, hash: HASH });
  const base = { author, channel: 'public' as const };
  const taken: [string, RangeRequest][] = [
    ['about all epochs, none of which is held', { ...base, have: [] }],
    ['about all epochs', { ...base, have: [held(1), { ...held(2), fork: '33'.repeat(32) }] }],
    ['about some epochs', { ...base, have: [held(2), held(4)], within: [epochOf(2), epochOf(4)] }],
    ['about one epoch that is not held', { ...base, have: [], within: [epochOf(5), epochOf(5)] }],
    [
      'about the last epochs',
      { ...base, have: [{ epoch: 'ff'.repeat(8), seq: 0, hash: '' }], within: [epochOf(5), 'ff'.repeat(8)] },
    ],
    [
      'about a forked epoch of which what is below the fork is not held',
      { ...base, have: [{ epoch: epochOf(1), seq: 3, hash: '', fork: '33'.repeat(32) }] },
    ],
  ];
  const item = (n: number): Cbor => [fromHex(epochOf(n)), 1, fromHex(HASH), null];
  const bytes = (n: number): Uint8Array => fromHex(epochOf(n));
  const refused: [string, Cbor][] = [
    ['the last before the first', { ...base, have: [], within: [bytes(2), bytes(1)] }],
    ['no ends', { ...base, have: [], within: [] }],
    ['three ends', { ...base, have: [], within: [bytes(1), bytes(2), bytes(3)] }],
    ['an end of 7 bytes', { ...base, have: [], within: [bytes(1).subarray(1), bytes(2)] }],
    ['ends that are text', { ...base, have: [], within: [epochOf(1), epochOf(2)] }],
    ['null for the ends', { ...base, have: [], within: null }],
    ['an epoch held before the first', { ...base, have: [item(1)], within: [bytes(2), bytes(3)] }],
    ['an epoch held after the last', { ...base, have: [item(4)], within: [bytes(2), bytes(3)] }],
    ['another key', { ...base, have: [], without: [bytes(1), bytes(2)] }],
    ['a key too many', { ...base, have: [], within: [bytes(1), bytes(2)], limit: 1 }],
    ['nothing about what is held', { ...base, within: [bytes(1), bytes(2)] }],
    ...badFrontierItems().map(([name, held]): [string, Cbor] => [name, { ...base, have: [held] }]),
  ];
  return {
    taken: taken.map(([name, request]) => ({ name, request, bytes: hex(encodeRangeRequest(request)) })),
    refused: refused.map(([name, value]) => {
      const encoded = encodeCbor(value);
      return { name, bytes: hex(encoded), code: outcomeOf(() => decodeRangeRequest(encoded)) };
    }),
  };
}
