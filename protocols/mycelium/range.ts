import { AgrinetError } from '../errors.ts';
import { effectiveHead, type FeedState } from '../feed/feed.ts';
import { frontierItemCbor, readFrontierItem } from '../feed/frontier.ts';
import { fromHex, hex } from '../wire/bytes.ts';
import { bytesOf, decodeCbor, encodeCbor, mapOf } from '../wire/cbor.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import { type Channel, isChannel } from '../wire/ids.ts';
import type { FeedSource } from './ports.ts';
import type { RangeItem } from './range-item.ts';

/**
 * Range catch-up, over streams (`range-protocol.ts`) and HTTPS. The requester sends one frame `{author, channel, have: [[epoch, seq,
 * hash, fork | null], …]}` with every epoch it holds; the holder answers with frames of items (`range-frame.ts`) and closes. A
 * requester that holds more epochs than a request can name sends several requests, each `within` other epochs: `[first, last]`, both
 * included; the holder sends nothing outside. Entries of a feed come in order, feeds in the order in which the holder got them, so
 * the requester may stop anywhere and ask again from there, of any holder: the bytes are verifiable by themselves. Where both hold a
 * place with different hashes, the holder sends that epoch from its beginning: the first difference is the lowest fork. Not
 * guaranteed: that the holder has everything, or answers at all.
 */
export const RANGE_LIMITS = {
  /** Epochs that a request names. */
  epochs: 5000,
  /** The request: 5,000 epochs. */
  requestBytes: 512 * 1024,
  /** No frame for this long ends a pull: a tarpit holds nobody up. */
  idleMs: 5000,
  /** One whole answer. */
  answerMs: 10 * 60 * 1000,
  /** Answers under way in total: each holds a frame and a database iterator. */
  answering: 16,
  /** Of them for one peer: as many as it pulls at once, and no peer takes all. */
  answeringPerPeer: 4,
  /** Beyond the first of each peer, for all peers together: four that take slowly do not hold all of them. */
  further: 8,
  /** Per connection, both ways: answers of both sides. */
  streams: 8,
} as const;

export interface RangeRequest {
  readonly author: PeerId;
  readonly channel: Channel;
  readonly have: readonly {
    readonly epoch: string;
    readonly seq: number;
    readonly hash: string;
    readonly fork?: string;
  }[];
  /** The first and the last epoch that it is about, in the order of their bytes; without it about all. */
  readonly within?: readonly [first: string, last: string];
}

/** What to ask for, and where to continue: an epoch, or undefined when that was all. */
export interface NextRange<Request> {
  readonly request: Request;
  readonly next: string | undefined;
}

const FIRST_EPOCH = '00'.repeat(8);
const LAST_EPOCH = 'ff'.repeat(8);

/** Each epoch is a list of four; the rest is the map, its names, and the list itself. */
const REQUEST_ITEMS = RANGE_LIMITS.epochs * 5 + 32;
const malformed = (): AgrinetError => new AgrinetError('range-malformed', 'malformed range request');

export function encodeRangeRequest({ author, channel, have, within }: RangeRequest): Uint8Array {
  const all = { author, channel, have: have.map(frontierItemCbor) };
  return encodeCbor(within === undefined ? all : { ...all, within: within.map(fromHex) });
}

/** Reads a request strictly. Throws `range-malformed` or `not-canonical`. */
export function decodeRangeRequest(data: Uint8Array): RangeRequest {
  if (data.length > RANGE_LIMITS.requestBytes) throw malformed();
  const value = decodeCbor(data, REQUEST_ITEMS);
  const keys = ['author', 'channel', 'have'] as const;
  const part = mapOf(value, [...keys, 'within'] as const);
  const map = part ?? mapOf(value, keys);
  const author = parsePeerId(map?.author);
  if (map === undefined || author === undefined || !isChannel(map.channel) || !Array.isArray(map.have))
    throw malformed();
  if (map.have.length > RANGE_LIMITS.epochs) throw malformed();
  const request: RangeRequest = { author, channel: map.channel, have: map.have.map(decodeHeld) };
  if (part === undefined) return request;
  const within = decodeWithin(part.within);
  if (request.have.some(({ epoch }) => !isWithin(epoch, within))) throw malformed();
  return { ...request, within };
}

function decodeHeld(item: unknown): RangeRequest['have'][number] {
  const held = readFrontierItem(item);
  if (held === undefined) throw malformed();
  return held;
}

function decodeWithin(value: unknown): readonly [string, string] {
  if (!Array.isArray(value) || value.length !== 2) throw malformed();
  const [first, last] = value.map((epoch) => bytesOf(epoch, 8));
  if (first === undefined || last === undefined || hex(first) > hex(last)) throw malformed();
  return [hex(first), hex(last)];
}

function isWithin(epoch: string, within: RangeRequest['within']): boolean {
  return within === undefined || (within[0] <= epoch && epoch <= within[1]);
}

/**
 * The request of a node: every epoch it holds of this author and channel. If they do not fit in one request, further requests
 * continue in order.
 */
export function rangeRequest(
  author: PeerId,
  channel: Channel,
  feeds: readonly FeedState[],
  from: string = FIRST_EPOCH,
): RangeRequest {
  const held = feeds.filter(({ epoch }) => epoch >= from).sort((a, b) => (a.epoch < b.epoch ? -1 : 1));
  const beyond = held[RANGE_LIMITS.epochs];
  const have = held.slice(0, RANGE_LIMITS.epochs).map((feed) => {
    const base = { epoch: feed.epoch, ...effectiveHead(feed) };
    return feed.fork === undefined ? base : { ...base, fork: feed.fork.proof };
  });
  if (from === FIRST_EPOCH && beyond === undefined) return { author, channel, have };
  return { author, channel, have, within: [from, beyond === undefined ? LAST_EPOCH : before(beyond.epoch)] };
}

/** The epoch from which on the next request has to ask; undefined when this one was about all that is left. */
export function nextRange({ within }: RangeRequest): string | undefined {
  return within === undefined || within[1] === LAST_EPOCH
    ? undefined
    : epochText(BigInt(`0x${within[1]}`) + 1n);
}

/** The one before, of one that is not the first. */
function before(epoch: string): string {
  return epochText(BigInt(`0x${epoch}`) - 1n);
}

function epochText(epoch: bigint): string {
  return epoch.toString(16).padStart(16, '0');
}

/** Everything the requester is missing, in an order in which it can be admitted. Pure except for reading the feeds. */
export async function* rangeItems(source: FeedSource, request: RangeRequest): AsyncGenerator<RangeItem> {
  const have = new Map(request.have.map((item) => [item.epoch, item]));
  const feeds = source
    .feeds(request.author, request.channel)
    .filter(({ epoch }) => isWithin(epoch, request.within))
    .sort((a, b) => a.no - b.no);
  for (const feed of feeds) {
    const theirs = have.get(feed.epoch);
    if (feed.fork !== undefined && theirs?.fork !== feed.fork.proof) {
      const proof = await source.proof(feed.no);
      if (proof !== undefined) yield { kind: 'proof', bytes: proof.bytes };
    }
    const head = effectiveHead(feed);
    let from = (theirs?.seq ?? 0) + 1;
    if (
      theirs !== undefined &&
      theirs.seq > 0 &&
      theirs.seq <= head.seq &&
      (await hashAt(source, feed, theirs.seq)) !== theirs.hash
    )
      from = 1;
    if (from > head.seq) continue;
    const erasures = await source.erasures(feed, from, head.seq);
    let seq = from;
    for await (const entry of source.entriesFrom(feed.no, from, head.seq)) {
      for (; erasures[0]?.seq === seq; erasures.shift()) yield { kind: 'erasure', bytes: erasures[0].bytes };
      yield { kind: 'entry', bytes: entry };
      seq++;
    }
  }
}

async function hashAt(source: FeedSource, feed: FeedState, seq: number): Promise<string | undefined> {
  const head = effectiveHead(feed);
  return seq === head.seq ? head.hash : (await source.entry(feed.no, seq))?.hash;
}
