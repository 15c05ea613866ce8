import {
  type Admission,
  type AdmissionState,
  admitUnverified,
  admitVerified,
} from '../../../protocols/feed/admission.ts';
import { bodyMatches, decodeEntry, type Entry, signEntry } from '../../../protocols/feed/entry.ts';
import type { FeedState } from '../../../protocols/feed/feed.ts';
import { frontierOf, isBehind, missingEpochs } from '../../../protocols/feed/frontier.ts';
import { ENTRY_ENVELOPE, type Header } from '../../../protocols/feed/header.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { hex, sha256 } from '../../../protocols/wire/bytes.ts';
import { encodeCbor } from '../../../protocols/wire/cbor.ts';
import { signatureHolds } from '../../../protocols/wire/envelope.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import { nodeOf } from './signatures.ts';

const NET = 'vectors';
const AUTHOR = nodeOf(1);
const EPOCH = '0123456789abcdef';
const OP = encodeOp({ v: 1, c: 'prices', k: '', t: 'fact', d: encodeCbor({ a: 1 }) });
const OTHER_OP = encodeOp({ v: 1, c: 'prices', k: '', t: 'fact', d: encodeCbor({ a: 2 }) });

function entryAt(seq: number, prev: string | null, change: Partial<Header> = {}, op = OP): Entry {
  const time = [1_700_000_000_000 + seq, 0] as const;
  return signEntry(
    AUTHOR,
    { net: NET, channel: 'public', epoch: EPOCH, seq, prev, after: [], time, ...change },
    [op],
  );
}

const first = entryAt(1, null);
const second = entryAt(2, first.hash);
const third = entryAt(3, second.hash);

const HELD: FeedState = {
  no: 1,
  author: AUTHOR.peerId,
  channel: 'public',
  epoch: EPOCH,
  seq: 2,
  hash: second.hash,
  after: [],
  day: 0,
};

/** What a receiver knows when the entry comes, without this node's own numbers. */
interface Given {
  readonly standing?: AdmissionState['followState'];
  readonly feed?: FeedState;
  readonly heldHash?: string;
  readonly epochsToday?: number;
}

/** The whole of admission that concerns one feed, in the order of the table: registry, signature, sequence, body. */
export function admissionOf(entry: Entry, given: Given): Admission {
  const state: AdmissionState = {
    net: NET,
    followState: given.standing ?? 'followed',
    feed: given.feed,
    heldHash: given.heldHash,
    epochsToday: given.epochsToday ?? 0,
  };
  const early = admitUnverified(entry, state);
  if (early !== undefined) return early;
  if (!signatureHolds(ENTRY_ENVELOPE, entry.envelope)) return { kind: 'reject', code: 'signature-invalid' };
  return admitVerified(entry, state, () => bodyMatches(entry));
}

/** An entry with another body than its header names: [envelope, [another op]]. */
function withOtherBody(entry: Entry): Entry {
  return decodeEntry(encodeCbor([entry.envelopeBytes, [OTHER_OP]]));
}

/** The same payload under a signature that does not hold. */
function withFlippedSignature(entry: Entry): Entry {
  const flipped = entry.envelopeBytes.with(-1, (entry.envelopeBytes.at(-1) ?? 0) ^ 1);
  return decodeEntry(encodeCbor([flipped, [OP]]));
}

const CASES: readonly (readonly [name: string, entry: Entry, given: Given])[] = [
  ['the next entry', third, { feed: HELD }],
  ['the first of an epoch', first, {}],
  ['held already', second, { feed: HELD, heldHash: second.hash }],
  [
    'held already, of a suspended author',
    second,
    { feed: HELD, heldHash: second.hash, standing: 'suspended' },
  ],
  ['beyond the cut of a suspended author', third, { feed: HELD, standing: 'suspended' }],
  ['of an author that is not registered', third, { feed: HELD, standing: 'no' }],
  ['of another network', entryAt(3, second.hash, { net: 'other' }), { feed: HELD }],
  ['beyond a gap', entryAt(4, third.hash), { feed: HELD }],
  ['the next place, another entry before it', entryAt(3, first.hash), { feed: HELD }],
  [
    'a second header at a held place',
    entryAt(2, first.hash, {}, OTHER_OP),
    { feed: HELD, heldHash: second.hash },
  ],
  [
    'at the known fork of its feed',
    third,
    { feed: { ...HELD, fork: { seq: 3, proof: 'ab'.repeat(32), below: second.hash } } },
  ],
  ['the first of an epoch too many today', first, { epochsToday: LIMITS.epochsPerDay }],
  ['the last epoch that fits today', first, { epochsToday: LIMITS.epochsPerDay - 1 }],
  ['a signature that does not hold', withFlippedSignature(third), { feed: HELD }],
  ['another body than the header names', withOtherBody(third), { feed: HELD }],
  ['another body, beyond a gap', withOtherBody(entryAt(4, third.hash)), { feed: HELD }],
  // The header alone is the proof: its body is not looked at.
  [
    'a second header, with another body',
    withOtherBody(entryAt(2, first.hash, {}, OP)),
    { feed: { ...HELD, hash: 'cd'.repeat(32) } },
  ],
];

/** Entries and what becomes of them, given what is held. */
export function admissionVectors(): unknown {
  return CASES.map(([name, entry, given]) => ({
    name,
    entry: hex(entry.bytes),
    network: NET,
    standing: given.standing ?? 'followed',
    held: given.feed === undefined ? null : feedJson(given.feed),
    heldHash: given.heldHash ?? null,
    epochsToday: given.epochsToday ?? 0,
    admission: admissionOf(entry, given),
  }));
}

function feedJson({ seq, hash, fork }: FeedState): unknown {
  return { seq, hash, fork: fork ?? null };
}

const hashOf = (text: string): string => hex(sha256(new TextEncoder().encode(text)));
const epoch = (n: number): string => n.toString(16).padStart(16, '0');

function feed(
  n: number,
  seq: number,
  after: FeedState['after'] = [],
  rest: Partial<FeedState> = {},
): FeedState {
  return { ...HELD, epoch: epoch(n), seq, hash: hashOf(`${n}/${seq}`), after, ...rest };
}
const tail = (n: number, seq: number, hash = hashOf(`${n}/${seq}`)): FeedState['after'][number] => ({
  epoch: epoch(n),
  seq,
  hash,
});

const FEEDS: readonly (readonly [name: string, feeds: readonly FeedState[]])[] = [
  ['one epoch', [feed(1, 5)]],
  ['a restart: the old epoch is named as it is held', [feed(1, 5), feed(2, 1, [tail(1, 5)])]],
  ['three restarts in a line', [feed(1, 5), feed(2, 1, [tail(1, 5)]), feed(3, 2, [tail(2, 1)])]],
  ['the old epoch is held further than it is named', [feed(1, 6), feed(2, 1, [tail(1, 5)])]],
  ['the old epoch is held less far than it is named', [feed(1, 4), feed(2, 1, [tail(1, 5)])]],
  ['a named epoch that is not held', [feed(2, 1, [tail(1, 5)])]],
  ['named twice, the further counts', [feed(1, 6), feed(2, 1, [tail(1, 5)]), feed(3, 1, [tail(1, 6)])]],
  [
    'two names of one place with different hashes cover nothing',
    [feed(1, 5), feed(2, 1, [tail(1, 5)]), feed(3, 1, [tail(1, 5, hashOf('lie'))])],
  ],
  [
    'a forked epoch stays, and counts below its fork',
    [
      feed(1, 5, [], { fork: { seq: 3, proof: 'ab'.repeat(32), below: hashOf('1/2') } }),
      feed(2, 1, [tail(1, 5)]),
    ],
  ],
  [
    'a fork at the first entry voids what it names',
    [feed(1, 5), feed(2, 1, [tail(1, 5)], { fork: { seq: 1, proof: 'ab'.repeat(32), below: '' } })],
  ],
];

/** What is held of an author in a channel, the frontier that it shows, and the epochs that it names beyond what is held. */
export function frontierVectors(): unknown {
  const shown = FEEDS.map(([name, feeds]) => ({
    name,
    held: feeds.map(({ epoch: of, seq, hash, after, fork }) => ({
      epoch: of,
      seq,
      hash,
      after,
      fork: fork ?? null,
    })),
    frontier: frontierOf(feeds),
    missing: missingEpochs(feeds),
  }));
  const behind = FEEDS.flatMap(([name, feeds]) =>
    FEEDS.map(([other, theirs]) => ({
      held: name,
      shown: other,
      behind: isBehind(feeds, frontierOf(theirs)),
    })),
  );
  return { shown, behind };
}
