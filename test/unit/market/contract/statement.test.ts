import { expect, it } from 'vitest';
import {
  joinCarried,
  verifyTransition,
  signTransition,
  splitCarried,
} from '../../../../protocols/market/contract/statement.ts';
import { identityFromSeed } from '../../../../protocols/wire/identity.ts';

const ann = identityFromSeed(new Uint8Array(32).fill(1));
const ben = identityFromSeed(new Uint8Array(32).fill(2));
const base = { net: 'n', contract: 'c', party: `ann@${ann.peerId}`, before: [], at: 5 };
const bytes = signTransition(ann, {
  ...base,
  kind: 'propose',
  terms: { quantity: 3 },
  heads: [],
  validUntil: 9,
});

it('opens what was sealed, and carries it', () => {
  const opened = verifyTransition(bytes);
  expect(opened).toMatchObject({ ...base, kind: 'propose', terms: { quantity: 3 }, validUntil: 9 });
  expect(splitCarried(joinCarried([bytes, bytes])).map((one) => verifyTransition(one).hash)).toEqual([
    opened.hash,
    opened.hash,
  ]);
});

it('refuses every changed byte, another signer and bad terms', () => {
  for (let i = 0; i < bytes.length; i++) {
    const changed = Uint8Array.from(bytes, (byte, at) => (at === i ? byte ^ 1 : byte));
    expect(() => verifyTransition(changed)).toThrow(expect.objectContaining({ code: 'transition-invalid' }));
  }
  expect(() => signTransition(ben, { ...base, kind: 'settle', role: 'market_buyer' })).toThrow(
    'not signed by the node of its party',
  );
  expect(() => signTransition(ann, { ...base, kind: 'propose', terms: { quantity: -1 }, heads: [] })).toThrow(
    'quantity',
  );
});
