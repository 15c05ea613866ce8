import { AgrinetError } from '../errors.ts';
import type { FrontierItem } from '../feed/frontier.ts';
import { integer } from '../wire/cbor.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import { type Channel, isChannel } from '../wire/ids.ts';
import { RANGE_LIMITS } from './range.ts';

const malformed = (): AgrinetError => new AgrinetError('frontier-malformed', 'not {author, channel, have}');

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
  if (!Array.isArray(value) || value.length > RANGE_LIMITS.epochs) throw malformed();
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
