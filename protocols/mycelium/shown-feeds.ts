import { AgrinetError } from '../errors.ts';
import type { FrontierItem } from '../feed/frontier.ts';
import { integer } from '../wire/cbor.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import { type Channel, isChannel } from '../wire/ids.ts';
import type { FrontierGroup } from './frontier-page.ts';

/** Bounds of a frontier as JSON: more than a full registry and its private channels show. */
export const SHOWN_LIMITS = { groups: 20_000, epochs: 5000 } as const;

const malformed = (): AgrinetError =>
  new AgrinetError('frontier-malformed', 'feeds: not a list of {author, channel, items, digest}');

/** Reads the `feeds` of `GET /federation/feeds`, strictly in what is used and leniently in what is added later. Throws `frontier-malformed`. */
export function readShownFeeds(value: unknown): FrontierGroup[] {
  if (!Array.isArray(value) || value.length > SHOWN_LIMITS.groups) throw malformed();
  return value.map((group: unknown): FrontierGroup => {
    const { author, channel, items, digest } = objectOf(group);
    const peer = parsePeerId(author);
    if (peer === undefined || !isChannel(channel)) throw malformed();
    if (digest !== undefined && !isHex(digest, 64)) throw malformed();
    return { author: peer, channel, items: readItems(items), digest: digest ?? '' };
  });
}

/** Reads what a range is asked with, as JSON. Throws `frontier-malformed`. */
export function readAsked(value: unknown): {
  author: PeerId;
  channel: Channel;
  have: readonly FrontierItem[];
} {
  const { author, channel, have } = objectOf(value);
  const peer = parsePeerId(author);
  if (peer === undefined || !isChannel(channel)) throw malformed();
  return { author: peer, channel, have: readItems(have) };
}

function readItems(value: unknown): FrontierItem[] {
  if (!Array.isArray(value) || value.length > SHOWN_LIMITS.epochs) throw malformed();
  return value.map((item: unknown): FrontierItem => {
    const { epoch, seq, hash, fork } = objectOf(item);
    const at = integer(seq, 0);
    if (!isHex(epoch, 16) || at === undefined || !(isHex(hash, 64) || hash === '')) throw malformed();
    if (fork === undefined) return { epoch, seq: at, hash };
    if (!isHex(fork, 64)) throw malformed();
    return { epoch, seq: at, hash, fork };
  });
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed();
  return value as Record<string, unknown>;
}

function isHex(value: unknown, length: number): value is string {
  return typeof value === 'string' && value.length === length && /^[0-9a-f]*$/.test(value);
}
