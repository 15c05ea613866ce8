import { describe, expect, test } from 'vitest';
import { type AdmissionState, admitUnverified, admitVerified } from '../../../protocols/feed/admission.ts';
import { type Entry, signEntry } from '../../../protocols/feed/entry.ts';
import type { FeedState } from '../../../protocols/feed/feed.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';

const identity = identityFromSeed(new Uint8Array(32).fill(7));
const EPOCH = '00000000000000aa';

function entryAt(seq: number, prev: string | null, text = 'op'): Entry {
  const place = { net: 'n', channel: 'public', epoch: EPOCH, seq, prev, after: [], time: [1, 0] } as const;
  return signEntry(identity, place, [new TextEncoder().encode(text)]);
}

const first = entryAt(1, null);
const second = entryAt(2, first.hash);
const third = entryAt(3, second.hash);

function heldTo(entry: Entry | undefined, fork?: number): FeedState {
  const base = {
    no: 1,
    author: identity.peerId,
    channel: 'public',
    epoch: EPOCH,
    after: [],
    day: 0,
  } as const;
  const state = { ...base, seq: entry?.header.seq ?? 0, hash: entry?.hash ?? '' };
  return fork === undefined ? state : { ...state, fork: { seq: fork, proof: 'ff', below: '' } };
}

const state = (patch: Partial<AdmissionState>): AdmissionState => ({
  net: 'n',
  followState: 'followed',
  feed: undefined,
  heldHash: undefined,
  epochsToday: 0,
  ...patch,
});

describe('before the signature', () => {
  const cases: [string, Entry, Partial<AdmissionState>, string | undefined][] = [
    ['goes on with a first entry', first, {}, undefined],
    [
      'rejects another network before all else',
      first,
      { net: 'm', followState: 'no' },
      'reject network-wrong',
    ],
    ['ignores who is not registered', first, { followState: 'no' }, 'ignore author-not-registered'],
    ['knows what is held', first, { feed: heldTo(second), heldHash: first.hash }, 'known'],
    [
      'knows what is held of a suspended author',
      first,
      { followState: 'suspended', feed: heldTo(second), heldHash: first.hash },
      'known',
    ],
    [
      'ignores what is beyond the cut',
      third,
      { followState: 'suspended', feed: heldTo(second) },
      'ignore beyond-cut',
    ],
    ['ignores what stands at a fork', second, { feed: heldTo(first, 2) }, 'ignore forked'],
    ['ignores what stands above a fork', third, { feed: heldTo(first, 2) }, 'ignore forked'],
    ['goes on below a fork', second, { feed: heldTo(first, 3) }, undefined],
    ['ignores one epoch too many', first, { epochsToday: LIMITS.epochsPerDay }, 'ignore epochs-exceeded'],
    [
      'counts an epoch of which only a proof is held',
      first,
      { feed: heldTo(undefined, 3), epochsToday: LIMITS.epochsPerDay },
      'ignore epochs-exceeded',
    ],
    [
      'goes on with an epoch already begun',
      second,
      { feed: heldTo(first), epochsToday: LIMITS.epochsPerDay },
      undefined,
    ],
  ];
  test.each(cases)('%s', (_name, entry, patch, expected) => {
    const verdict = admitUnverified(entry, state(patch));
    expect(verdict && ('code' in verdict ? `${verdict.kind} ${verdict.code}` : verdict.kind)).toBe(expected);
  });
});

describe('after the signature', () => {
  const cases: [string, Entry, FeedState | undefined, boolean, string][] = [
    ['accepts the first', first, undefined, true, 'accept'],
    ['accepts the next', second, heldTo(first), true, 'accept'],
    [
      'accepts the first of a feed of which only a proof is held',
      first,
      heldTo(undefined, 3),
      true,
      'accept',
    ],
    ['rejects a body that is not the header’s', second, heldTo(first), false, 'reject'],
    ['rejects it beyond a gap too, for that is forwarded', third, heldTo(first), false, 'reject'],
    ['asks for what is between', third, heldTo(first), true, 'gap'],
    ['asks when nothing is held', third, undefined, true, 'gap'],
    ['asks when the chain does not meet', entryAt(2, third.hash), heldTo(first), true, 'gap'],
    ['finds another header at a place held', entryAt(1, null, 'other'), heldTo(second), true, 'fork'],
    ['finds it by the header alone', entryAt(2, first.hash, 'other'), heldTo(second), false, 'fork'],
  ];
  test.each(cases)('%s', (_name, entry, feed, matches, kind) => {
    expect(admitVerified(entry, state({ feed }), () => matches).kind).toBe(kind);
  });
});
