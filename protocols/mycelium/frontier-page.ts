import { type Coverage, coverageList, OWN_COVERAGE, readCoverageList } from '../digest/coverage.ts';
import { AgrinetError } from '../errors.ts';
import { type FrontierItem, frontierItemCbor, readFrontierItem } from '../feed/frontier.ts';
import { fromHex, hex } from '../wire/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../wire/cbor.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import { type Channel, isChannel } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';

/** How far a node has one author in one channel, and its digest of the public ones. */
export interface FrontierGroup {
  readonly author: PeerId;
  readonly channel: Channel;
  readonly items: readonly FrontierItem[];
  /** Digest over the author's public records, hex; empty for a private channel. The sender says which collections it covers. */
  readonly digest: string;
}

/** One page of a frontier. */
export interface FrontierPage {
  /** All that its sender knows, the same on every page. */
  readonly knows: Coverage;
  readonly groups: readonly FrontierGroup[];
  /** Groups that were compared and not sent: their sender holds the same of them as this node, which holds everything they cover. */
  readonly same?: readonly FrontierGroup[];
}

/** The contents of each page of a frontier, described compactly, because a page is encoded only when it is sent. */
export function frontierPages(groups: readonly FrontierGroup[]): FrontierGroup[][] {
  const pages: FrontierGroup[][] = [];
  let page: FrontierGroup[] = [];
  let size = KNOWS_COST;
  for (const group of groups) {
    // A group with more epochs than fit on a page is shown in parts; `isBehind` checks items one by one.
    for (let at = 0; at < Math.max(1, group.items.length); at += ITEMS_PER_GROUP) {
      const part =
        group.items.length <= ITEMS_PER_GROUP
          ? group
          : { ...group, items: group.items.slice(at, at + ITEMS_PER_GROUP) };
      const cost = 300 + part.items.length * 96;
      if (size + cost > LIMITS.frontierBytes && page.length > 0) {
        pages.push(page);
        page = [];
        size = KNOWS_COST;
      }
      page.push(part);
      size += cost;
    }
  }
  pages.push(page);
  return pages;
}

/**
 * One page, canonical dag-cbor of at most `LIMITS.frontierBytes`: `[[[collection, op version], …], [[author, channel, digest, [[epoch, seq,
 * hash, fork | null], …]], …]]`.
 */
export function encodePage(groups: readonly FrontierGroup[], knows: Coverage = OWN_COVERAGE): Uint8Array {
  return encodeCbor([coverageList(knows), groups.map(encodeGroup)]);
}

/** One group as encoded on a page. */
export function encodeGroup({ author, channel, digest, items }: FrontierGroup): Cbor {
  return [author, channel, fromHex(digest), items.map(frontierItemCbor)];
}

const ITEMS_PER_GROUP = 500;
/** The maximum size of what a sender knows, bytes: per collection a name of 32, an integer and the CBOR heads. */
const KNOWS_COST = 16 + LIMITS.knownCollections * 44;
/** Values in a full page, whose shortest item takes 46 bytes and is five of them. */
const PAGE_ITEMS = Math.ceil(LIMITS.frontierBytes / 46) * 5 + LIMITS.knownCollections * 3 + 16;

/** Reads one page strictly. Throws `frontier-malformed` or `not-canonical`. */
export function decodeFrontier(page: Uint8Array): FrontierPage {
  const malformed = (): AgrinetError => new AgrinetError('frontier-malformed', 'malformed frontier page');
  if (page.length > LIMITS.frontierBytes) throw malformed();
  const value = decodeCbor(page, PAGE_ITEMS);
  if (!Array.isArray(value) || value.length !== 2) throw malformed();
  const [known, shown] = value as readonly unknown[];
  const knows = readCoverageList(known);
  if (knows === undefined || !Array.isArray(shown)) throw malformed();
  const groups = shown.map((group: unknown): FrontierGroup => {
    if (!Array.isArray(group) || group.length !== 4) throw malformed();
    const [authorText, channel, digest, items] = group as readonly unknown[];
    const author = parsePeerId(authorText);
    if (author === undefined || !isChannel(channel) || !Array.isArray(items)) throw malformed();
    if (!(digest instanceof Uint8Array) || (digest.length !== 0 && digest.length !== 32)) throw malformed();
    return { author, channel, digest: hex(digest), items: items.map(decodeItem) };
  });
  return { knows, groups };
}

function decodeItem(item: unknown): FrontierItem {
  const read = readFrontierItem(item);
  if (read === undefined) throw new AgrinetError('frontier-malformed', 'malformed frontier item');
  return read;
}
