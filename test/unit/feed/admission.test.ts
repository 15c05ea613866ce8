import { expect, it } from 'vitest';
import { admitUnverified, type AdmissionState, admitVerified } from '../../../protocols/feed/admission.ts';
import { type Entry, sealEntry } from '../../../protocols/feed/entry.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const node = nodeOf(1);
function entryAt(seq: number, prev = '11'.repeat(32), net = 'test'): Entry {
  const place = { net, channel: 'public', epoch: '00'.repeat(8), after: [], time: [1, 0] } as const;
  return sealEntry(node, { ...place, seq, prev: seq === 1 ? null : prev }, [new Uint8Array([1])]);
}
function stateAt(seq: number, more: Partial<AdmissionState> = {}): AdmissionState {
  const feed = {
    no: 1,
    author: node.peerId,
    channel: 'public',
    epoch: '00'.repeat(8),
    seq,
    hash: '11'.repeat(32),
    after: [],
    day: 0,
  } as const;
  return { net: 'test', standing: 'followed', feed, heldHash: undefined, epochsToday: 0, ...more };
}
const whole = (): boolean => true;

it('what depends on this node alone is ignored, before any signature is looked at', () => {
  expect(admitUnverified(entryAt(2), stateAt(1))).toBeUndefined();
  const codeOf = (state: AdmissionState, entry = entryAt(2)): unknown => admitUnverified(entry, state);
  expect(codeOf(stateAt(1, { standing: 'no' }))).toEqual({ kind: 'ignore', code: 'author-not-registered' });
  expect(codeOf(stateAt(1, { standing: 'suspended' }))).toEqual({ kind: 'ignore', code: 'beyond-cut' });
  expect(codeOf(stateAt(2, { heldHash: entryAt(2).hash, standing: 'suspended' }))).toEqual({ kind: 'known' });
  const { feed } = stateAt(1);
  const forked = feed && { ...feed, fork: { seq: 2, proof: '', below: '' } };
  expect(codeOf(stateAt(1, { feed: forked }))).toEqual({ kind: 'ignore', code: 'forked' });
  expect(codeOf({ ...stateAt(0), feed: undefined, epochsToday: LIMITS.epochsPerDay }, entryAt(1))).toEqual({
    kind: 'ignore',
    code: 'epochs-exceeded',
  });
  expect(codeOf(stateAt(1), entryAt(2, '11'.repeat(32), 'other'))).toEqual({
    kind: 'reject',
    code: 'network-wrong',
  });
});

it('the place in the feed decides', () => {
  expect(admitVerified(entryAt(2), stateAt(1), whole)).toEqual({ kind: 'accept' });
  expect(admitVerified(entryAt(1), { ...stateAt(0), feed: undefined }, whole)).toEqual({ kind: 'accept' });
  expect(admitVerified(entryAt(1), stateAt(1), whole)).toEqual({ kind: 'fork' });
  expect(admitVerified(entryAt(3), stateAt(1), whole)).toEqual({ kind: 'gap' });
  expect(admitVerified(entryAt(2, '22'.repeat(32)), stateAt(1), whole)).toEqual({ kind: 'gap' });
});

it('a body that is not the signed one is rejected, beyond a gap too, because a gap is forwarded', () => {
  for (const seq of [2, 3])
    expect(admitVerified(entryAt(seq), stateAt(1), () => false)).toEqual({
      kind: 'reject',
      code: 'body-mismatch',
    });
});
