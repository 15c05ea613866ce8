import { AgrinetError } from '../errors.ts';
import type { FrontierItem } from '../feed/frontier.ts';
import { fromHex, hex } from '../wire/bytes.ts';
import { bytesOf, type Cbor, decodeCbor, encodeCbor, integer } from '../wire/cbor.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import { type Channel, isChannel } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';

/** How far a node has one author in one channel, and its digest of the public ones. */
export interface FrontierGroup {
  readonly author: PeerId;
  readonly channel: Channel;
  readonly items: readonly FrontierItem[];
  /** Digest over the author's public records, hex; empty for a private channel. */
  readonly digest: string;
}

/** Pages of a frontier, each canonical dag-cbor of at most `LIMITS.frontierBytes`: a list of `[author, channel, digest, [[epoch, seq, hash, fork | null], …]]`. */
export function encodeFrontier(groups: readonly FrontierGroup[]): Uint8Array[] {
  const pages: Uint8Array[] = [];
  let page: Cbor[] = [];
  let size = 0;
  for (const { author, channel, items, digest } of groups) {
    const encoded = items.map((i) => [
      fromHex(i.epoch),
      i.seq,
      fromHex(i.hash),
      i.fork === undefined ? null : fromHex(i.fork),
    ]);
    // A group with more epochs than fit a page is shown in parts; `isBehind` looks at items one by one.
    for (let at = 0; at < Math.max(1, encoded.length); at += ITEMS_PER_GROUP) {
      const part = encoded.slice(at, at + ITEMS_PER_GROUP);
      const cost = 300 + part.length * 96;
      if (size + cost > LIMITS.frontierBytes && page.length > 0) {
        pages.push(encodeCbor(page));
        page = [];
        size = 0;
      }
      page.push([author, channel, fromHex(digest), part]);
      size += cost;
    }
  }
  pages.push(encodeCbor(page));
  return pages;
}

const ITEMS_PER_GROUP = 500;
/** Values in a full page, whose shortest item takes 46 bytes and is five of them. */
const PAGE_ITEMS = Math.ceil(LIMITS.frontierBytes / 46) * 5 + 16;

/** Reads one page strictly. Throws `frontier-malformed` or `not-canonical`. */
export function decodeFrontier(page: Uint8Array): FrontierGroup[] {
  const malformed = new AgrinetError('frontier-malformed', 'malformed frontier page');
  if (page.length > LIMITS.frontierBytes) throw malformed;
  const value = decodeCbor(page, PAGE_ITEMS);
  if (!Array.isArray(value)) throw malformed;
  return value.map((group: unknown): FrontierGroup => {
    if (!Array.isArray(group) || group.length !== 4) throw malformed;
    const [authorText, channel, digest, items] = group as readonly unknown[];
    const author = parsePeerId(authorText);
    if (author === undefined || !isChannel(channel) || !Array.isArray(items)) throw malformed;
    if (!(digest instanceof Uint8Array) || (digest.length !== 0 && digest.length !== 32)) throw malformed;
    return { author, channel, digest: hex(digest), items: items.map(decodeItem) };
  });
}

function decodeItem(item: unknown): FrontierItem {
  const malformed = new AgrinetError('frontier-malformed', 'malformed frontier item');
  if (!Array.isArray(item) || item.length !== 4) throw malformed;
  const [epochValue, seqValue, hashValue, forkValue] = item as readonly unknown[];
  const epoch = bytesOf(epochValue, 8);
  const seq = integer(seqValue, 0);
  if (epoch === undefined || seq === undefined) throw malformed;
  const hash = bytesOf(hashValue, seq === 0 ? 0 : 32) ?? bytesOf(hashValue, 0);
  if (hash === undefined) throw malformed;
  if (forkValue === null) return { epoch: hex(epoch), seq, hash: hex(hash) };
  const fork = bytesOf(forkValue, 32);
  if (fork === undefined) throw malformed;
  return { epoch: hex(epoch), seq, hash: hex(hash), fork: hex(fork) };
}
