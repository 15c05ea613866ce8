import { readFileSync } from 'node:fs';
import { expect, it, test } from 'vitest';
import { verifyErasure, withoutOps } from '../../../protocols/feed/erasure.ts';
import { type Admission } from '../../../protocols/feed/admission.ts';
import { decodeEntry } from '../../../protocols/feed/entry.ts';
import type { FeedState } from '../../../protocols/feed/feed.ts';
import { frontierOf, isBehind, missingEpochs, type FrontierItem } from '../../../protocols/feed/frontier.ts';
import { verifyRequest } from '../../../protocols/mycelium/signed-request.ts';
import { verifyIdentityProof } from '../../../protocols/registry/identity-proof.ts';
import { verifyWithdrawal } from '../../../protocols/registry/withdrawal.ts';
import { fromHex, hex } from '../../../protocols/wire/bytes.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { admissionOf } from '../../support/vectors/admission.ts';
import { outcomeOf } from '../../support/vectors/outcome.ts';

/** What stands in the file, as any other implementation reads it. */
interface Vectors {
  readonly erasures: {
    readonly statements: Judged[];
    readonly entry: { entry: string; statement: string; id: string; op: string; kept: string };
  };
  readonly requests: {
    readonly expected: {
      net: string;
      receiver: PeerId;
      method: string;
      path: string;
      now: number;
      caller: string;
      nonce: string;
    };
    readonly headers: { name: string; header: string; outcome: string }[];
  };
  readonly identityProofs: {
    readonly expected: { net: string; nonce: string; now: number };
    readonly proofs: Judged[];
  };
  readonly withdrawals: {
    readonly expected: { net: string; receiver: PeerId; now: number };
    readonly withdrawals: Judged[];
  };
  readonly admission: {
    name: string;
    entry: string;
    standing: 'followed' | 'suspended' | 'no';
    held: Pick<FeedState, 'seq' | 'hash'> & { fork: FeedState['fork'] | null };
    heldHash: string | null;
    epochsToday: number;
    admission: Admission;
  }[];
  readonly frontiers: {
    readonly shown: { name: string; held: HeldEpoch[]; frontier: FrontierItem[]; missing: string[] }[];
    readonly behind: { held: string; shown: string; behind: boolean }[];
  };
}
type HeldEpoch = Pick<FeedState, 'epoch' | 'seq' | 'hash' | 'after'> & { fork: FeedState['fork'] | null };
interface Judged {
  readonly name: string;
  readonly bytes: string;
  readonly outcome: string;
}

const vectors = JSON.parse(
  readFileSync(new URL('../../../protocols/vectors.json', import.meta.url), 'utf8'),
) as Vectors;

test.each(vectors.erasures.statements)('erasure: $name is $outcome', ({ bytes, outcome }) => {
  expect(outcomeOf(() => verifyErasure(fromHex(bytes)))).toBe(outcome);
});

it('an erased op stands as its hash, under the same entry hash', () => {
  const { entry, statement, id, kept } = vectors.erasures.entry;
  const erasure = verifyErasure(fromHex(statement));
  const whole = decodeEntry(fromHex(entry));
  expect(erasure.id).toBe(id);
  expect(hex(withoutOps(whole, new Set(erasure.ops.map(({ index }) => index))).bytes)).toBe(kept);
  expect(decodeEntry(fromHex(kept)).hash).toBe(whole.hash);
});

test.each(vectors.requests.headers)('signed request: $name is $outcome', ({ header, outcome }) => {
  const { expected } = vectors.requests;
  expect(outcomeOf(() => verifyRequest(header, expected))).toBe(outcome);
  if (outcome === 'accepted')
    expect(verifyRequest(header, expected)).toMatchObject({ caller: expected.caller, nonce: expected.nonce });
});

test.each(vectors.identityProofs.proofs)('identity proof: $name is $outcome', ({ bytes, outcome }) => {
  expect(outcomeOf(() => verifyIdentityProof(fromHex(bytes), vectors.identityProofs.expected))).toBe(outcome);
});

test.each(vectors.withdrawals.withdrawals)('withdrawal: $name is $outcome', ({ bytes, outcome }) => {
  expect(outcomeOf(() => verifyWithdrawal(fromHex(bytes), vectors.withdrawals.expected))).toBe(outcome);
});

test.each(vectors.admission)(
  'admission: $name',
  ({ entry: bytes, standing, held, heldHash, epochsToday, admission }) => {
    const entry = decodeEntry(fromHex(bytes));
    const { channel, epoch } = entry.header;
    const base = { no: 1, author: entry.author, channel, epoch, after: [], day: 0 };
    const given = { standing, epochsToday, ...(heldHash === null ? {} : { heldHash }) };
    const feed: { feed?: FeedState } = held === null ? {} : { feed: { ...base, ...feedOf(held) } };
    expect(admissionOf(entry, { ...given, ...feed })).toEqual(admission);
  },
);

const AUTHOR = 'somebody' as PeerId; // a frontier is told of one author at a time, whoever it is
function feedOf<T extends { fork: FeedState['fork'] | null }>({
  fork,
  ...rest
}: T): Omit<T, 'fork'> & Pick<FeedState, 'fork'> {
  return fork === null || fork === undefined ? rest : { ...rest, fork };
}
const feedsOf = (held: readonly HeldEpoch[]): FeedState[] =>
  held.map((each) => ({ no: 1, author: AUTHOR, channel: 'public', day: 0, ...feedOf(each) }));

test.each(vectors.frontiers.shown)('frontier: $name', ({ held, frontier, missing }) => {
  for (const feeds of [feedsOf(held), feedsOf(held).toReversed()]) {
    expect(frontierOf(feeds)).toEqual(frontier);
    expect(missingEpochs(feeds)).toEqual(missing);
  }
});

it('who is behind whom', () => {
  const byName = new Map(vectors.frontiers.shown.map((each) => [each.name, each]));
  for (const { held, shown, behind } of vectors.frontiers.behind)
    expect([
      held,
      shown,
      isBehind(feedsOf(byName.get(held)?.held ?? []), byName.get(shown)?.frontier ?? []),
    ]).toEqual([held, shown, behind]);
});
