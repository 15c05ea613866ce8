import { type Coverage, coverageList, readCoverageList } from '../digest/coverage.ts';
import { AgrinetError } from '../errors.ts';
import { bytesEqual, fromHex, sha256Hex } from '../wire/bytes.ts';
import { bytesOf, decodeCbor, encodeCbor } from '../wire/cbor.ts';
import { LIMITS } from '../wire/limits.ts';
import { encodeGroup, type FrontierGroup } from './frontier-page.ts';

/** The groups of a frontier are spread over so many places, each of which is compared by its digest. */
export const FRONTIER_PLACES = 256;
/** Bytes of the digest of a place: enough that nobody finds two sets of groups with the same one. */
const PLACE_BYTES = 16;
const ROOT_BYTES = 32;
/** Values of a message: what its sender knows, and three more. */
const MESSAGE_ITEMS = LIMITS.knownCollections * 3 + 4;

/** The place of an author's feeds in a channel, from 0: whatever is held of them. */
export function groupPlace({ author, channel }: Pick<FrontierGroup, 'author' | 'channel'>): number {
  return parseInt(sha256Hex(`${author}|${channel}`).slice(0, 2), 16);
}

/** SHA-256 of a group as encoded on a page, hex. */
export function groupHash(group: FrontierGroup): string {
  return sha256Hex(encodeCbor(encodeGroup(group)));
}

/** One group as far as it is compared. */
export interface PlacedHash {
  readonly place: number;
  /** Hex. */
  readonly hash: string;
}

/** The digest of a whole frontier: SHA-256 over the hashes of its groups, in hex and ascending. */
export function frontierRoot(groups: readonly PlacedHash[]): Uint8Array {
  const hashes = groups.map(({ hash }) => hash).sort();
  return fromHex(sha256Hex(hashes.join('')));
}

/** Most places hold nothing, where few authors are known. */
const OF_NOTHING = frontierRoot([]);

/** The digests of all places, one behind the other: of each the first 16 bytes of the same hash over its own groups. */
export function placeDigests(groups: Iterable<PlacedHash>): Uint8Array {
  const places = Array.from({ length: FRONTIER_PLACES }, (): PlacedHash[] => []);
  for (const each of groups) places[each.place]?.push(each);
  const digests = new Uint8Array(FRONTIER_PLACES * PLACE_BYTES);
  for (const [place, held] of places.entries()) {
    const root = held.length === 0 ? OF_NOTHING : frontierRoot(held);
    digests.set(root.subarray(0, PLACE_BYTES), place * PLACE_BYTES);
  }
  return digests;
}

/** The places at which two frontiers differ, ascending. */
export function differingPlaces(mine: Uint8Array, theirs: Uint8Array): number[] {
  const at = (digests: Uint8Array, place: number): Uint8Array =>
    digests.subarray(place * PLACE_BYTES, (place + 1) * PLACE_BYTES);
  return Array.from({ length: FRONTIER_PLACES }, (_, place) => place).filter(
    (place) => !bytesEqual(at(mine, place), at(theirs, place)),
  );
}

/** The requester's first message: all that it knows, and the digest of its frontier. */
export interface Opening {
  readonly knows: Coverage;
  readonly root: Uint8Array;
}

/** The answer: all that the other side knows, and the digests of its places unless the frontiers are equal. */
export interface OpeningAnswer {
  readonly knows: Coverage;
  readonly digests: Uint8Array | undefined;
}

/** `[knows, root]`. */
export function encodeOpening({ knows, root }: Opening): Uint8Array {
  return encodeCbor([coverageList(knows), root]);
}

/** Throws `frontier-malformed` or `not-canonical`. */
export function decodeOpening(bytes: Uint8Array): Opening {
  const { knows, rest } = decodePair(bytes);
  const root = bytesOf(rest, ROOT_BYTES);
  if (root === undefined) throw malformed();
  return { knows, root };
}

/** `[knows, digests]`, `digests` null where the frontiers are equal. */
export function encodeOpeningAnswer({ knows, digests }: OpeningAnswer): Uint8Array {
  return encodeCbor([coverageList(knows), digests ?? null]);
}

/** Throws `frontier-malformed` or `not-canonical`. */
export function decodeOpeningAnswer(bytes: Uint8Array): OpeningAnswer {
  const { knows, rest } = decodePair(bytes);
  if (rest === null) return { knows, digests: undefined };
  const digests = bytesOf(rest, FRONTIER_PLACES * PLACE_BYTES);
  if (digests === undefined) throw malformed();
  return { knows, digests };
}

/** The places that differ, a byte each, ascending. */
export function encodePlaces(places: readonly number[]): Uint8Array {
  return encodeCbor(Uint8Array.from(places));
}

/** Throws `frontier-malformed` or `not-canonical`. */
export function decodePlaces(bytes: Uint8Array): number[] {
  const value = decodeCbor(bytes, 1);
  if (!(value instanceof Uint8Array)) throw malformed();
  if (value.some((place, i) => i > 0 && place <= (value[i - 1] ?? 0))) throw malformed();
  return [...value];
}

function decodePair(bytes: Uint8Array): { knows: Coverage; rest: unknown } {
  const value = decodeCbor(bytes, MESSAGE_ITEMS);
  if (!Array.isArray(value) || value.length !== 2) throw malformed();
  const [known, rest] = value as readonly unknown[];
  const knows = readCoverageList(known);
  if (knows === undefined) throw malformed();
  return { knows, rest };
}

function malformed(): AgrinetError {
  return new AgrinetError('frontier-malformed', 'malformed digest of a frontier');
}
