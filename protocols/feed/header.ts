import { AgrinetError } from '../errors.ts';
import { fromHex, hex, sha256Hex } from '../wire/bytes.ts';
import { bytesOf, decodeCbor, encodeCbor, integer, mapOf } from '../wire/cbor.ts';
import type { EnvelopeType } from '../wire/envelope.ts';
import { type Channel, isChannel } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import type { HlcTime } from './clock.ts';

/** The purpose of a header's signature; payload type 0x0300 prefixed `agrinet` keeps it out of libp2p's own table. */
export const ENTRY_ENVELOPE: EnvelopeType = {
  domain: 'agrinet-entry',
  payloadType: new TextEncoder().encode('/agrinet/entry/1'),
};

/** The last header of an earlier epoch, as `after` names it. */
export interface EpochTail {
  /** 16 hex digits. */
  readonly epoch: string;
  readonly seq: number;
  /** SHA-256 of that header's payload, hex. */
  readonly hash: string;
}

/**
 * What an author signs: the position of one entry in its feed, and the root of its ops. Hashes and epochs are hex here, bytes on the
 * wire.
 */
export interface Header {
  readonly net: string;
  readonly channel: Channel;
  readonly epoch: string;
  /** Counts from 1. */
  readonly seq: number;
  /** Hash of the header before, null exactly when `seq` is 1. */
  readonly prev: string | null;
  /** Newest headers of the author's earlier epochs in this channel; only when `seq` is 1. */
  readonly after: readonly EpochTail[];
  readonly time: HlcTime;
  /** Number of ops. */
  readonly n: number;
  /** SHA-256 over the SHA-256 of each op, hex. */
  readonly root: string;
}

/** The payload of a header: canonical dag-cbor. */
export function encodeHeader(header: Header): Uint8Array {
  return encodeCbor({
    v: 1,
    net: header.net,
    channel: header.channel,
    epoch: fromHex(header.epoch),
    seq: header.seq,
    prev: header.prev === null ? null : fromHex(header.prev),
    after: header.after.map((tail) => [fromHex(tail.epoch), tail.seq, fromHex(tail.hash)]),
    time: [header.time[0], header.time[1]],
    n: header.n,
    root: fromHex(header.root),
  });
}

const KEYS = ['v', 'net', 'channel', 'epoch', 'seq', 'prev', 'after', 'time', 'n', 'root'] as const;

/** Reads a header payload strictly. Throws `not-canonical`, `header-version` or `header-malformed`. */
export function decodeHeader(payload: Uint8Array): Header {
  const malformed = (why: string): AgrinetError => new AgrinetError('header-malformed', `header: ${why}`);
  if (payload.length > LIMITS.headerBytes) throw malformed('too long');
  const value = decodeCbor(payload);
  if (typeof value === 'object' && value !== null && 'v' in value && value.v !== 1) {
    throw new AgrinetError('header-version', 'header of an unknown version');
  }
  const map = mapOf(value, KEYS);
  if (map === undefined) throw malformed('wrong fields');
  const epoch = bytesOf(map.epoch, 8);
  const seq = integer(map.seq, 1, LIMITS.feedEntries);
  const n = integer(map.n, 1, LIMITS.entryOps);
  const root = bytesOf(map.root, 32);
  const prev = map.prev === null ? null : bytesOf(map.prev, 32);
  const time = hlcTime(map.time);
  if (typeof map.net !== 'string' || map.net.length > 32) throw malformed('net');
  if (!isChannel(map.channel)) throw malformed('channel');
  if (
    epoch === undefined ||
    seq === undefined ||
    n === undefined ||
    root === undefined ||
    time === undefined
  ) {
    throw malformed('a field has the wrong type or size');
  }
  if (prev === undefined || (prev === null) !== (seq === 1)) throw malformed('prev');
  return {
    net: map.net,
    channel: map.channel,
    epoch: hex(epoch),
    seq,
    prev: prev === null ? null : hex(prev),
    after: afterOf(map.after, seq),
    time,
    n,
    root: hex(root),
  };
}

function hlcTime(value: unknown): HlcTime | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const ms = integer(value[0], 0);
  const counter = integer(value[1], 0, 0xffff_ffff);
  return ms === undefined || counter === undefined ? undefined : [ms, counter];
}

function afterOf(value: unknown, seq: number): EpochTail[] {
  const malformed = (): AgrinetError => new AgrinetError('header-malformed', 'header: after');
  if (!Array.isArray(value) || value.length > LIMITS.afterEpochs || (seq !== 1 && value.length > 0))
    throw malformed();
  return value.map((item: unknown) => {
    if (!Array.isArray(item) || item.length !== 3) throw malformed();
    const epoch = bytesOf(item[0], 8);
    const tailSeq = integer(item[1], 1, LIMITS.feedEntries);
    const hash = bytesOf(item[2], 32);
    if (epoch === undefined || tailSeq === undefined || hash === undefined) throw malformed();
    return { epoch: hex(epoch), seq: tailSeq, hash: hex(hash) };
  });
}

/** A header's name everywhere: SHA-256 of its payload, never of the envelope, which a relay could re-encode. */
export function headerHash(payload: Uint8Array): string {
  return sha256Hex(payload);
}
