import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errorCode } from '../../../protocols/errors.ts';
import { decodeItems } from '../../../protocols/mycelium/item-sequence.ts';
import { encodeItem, type RangeItem } from '../../../protocols/mycelium/range-item.ts';
import {
  verifyRequest,
  REQUEST_LIMITS,
  RequestNonces,
  signRequest,
} from '../../../protocols/mycelium/signed-request.ts';
import { concat } from '../../../protocols/wire/bytes.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';

async function decode(bytes: Uint8Array, size: number): Promise<RangeItem[]> {
  const found: RangeItem[] = [];
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  for await (const item of decodeItems(pieces())) found.push(item);
  return found;
}

const item = fc.record({
  kind: fc.constantFrom('entry' as const, 'proof' as const),
  bytes: fc.uint8Array({ maxLength: 400 }),
});

describe('range items as a sequence', () => {
  it('come back however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(item), fc.integer({ min: 1, max: 600 }), async (items, size) => {
        const found = await decode(concat(items.map(encodeItem)), size);
        expect(found.map(({ kind, bytes }) => [kind, Buffer.from(bytes).toString('hex')])).toEqual(
          items.map(({ kind, bytes }) => [kind, Buffer.from(bytes).toString('hex')]),
        );
      }),
    );
    const large = { kind: 'entry' as const, bytes: new Uint8Array(LIMITS.entryBytes) };
    expect((await decode(encodeItem(large), 65_536)).length).toBe(1);
  });

  it('are nobody’s fault when cut off: their source may have been stopped', async () => {
    const whole = encodeItem({ kind: 'entry', bytes: new Uint8Array(100) });
    for (const end of [1, 2, 50, whole.length - 1])
      for (const bytes of [whole.subarray(0, end), concat([whole, whole.subarray(0, end)])])
        await expect(decode(bytes, 8), String(end)).rejects.toMatchObject({ code: 'stream-truncated' });
  });

  it('are refused when too large, or anything else', async () => {
    for (const bytes of [
      encodeItem({ kind: 'entry', bytes: new Uint8Array(LIMITS.entryBytes + 1) }),
      Uint8Array.of(0x82, 3, 0x40),
      Uint8Array.of(0x83, 0, 0x40, 0x40),
      Uint8Array.of(0x82, 0, 0x58, 1, 0),
      Uint8Array.of(0x82, 0, 0x5b, 0, 0, 0, 0, 0, 0, 0, 1, 0),
    ])
      await expect(decode(bytes, 8), Buffer.from(bytes.subarray(0, 8)).toString('hex')).rejects.toMatchObject(
        {
          code: 'range-malformed',
        },
      );
  });

  it('decode, lack their end or are refused, whatever the bytes; nothing behind them mends what is refused', async () => {
    const outcome = (bytes: Uint8Array): Promise<string> => decode(bytes, 3).then(() => 'taken', errorCode);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(255), async (bytes, next) => {
        const code = await outcome(bytes);
        if (code === 'taken' || code === 'stream-truncated')
          expect(['taken', 'stream-truncated']).toContain(await outcome(bytes.subarray(0, -1)));
        else {
          expect(code).toMatch(/^(range-malformed|not-canonical)$/);
          expect(await outcome(concat([bytes, Uint8Array.of(next)]))).toBe(code);
        }
      }),
    );
  });
});

describe('a signed request', () => {
  const [caller, receiver] = [1, 2].map((n) => identityFromSeed(new Uint8Array(32).fill(n)));
  if (caller === undefined || receiver === undefined) throw new Error('two identities');
  const now = 1_800_000_000_000;
  const request = {
    net: 'test',
    receiver: receiver.peerId,
    method: 'GET',
    path: '/federation/feeds?a=b',
    time: now,
    nonce: new Uint8Array(16),
  };
  const expected = {
    net: 'test',
    receiver: receiver.peerId,
    method: 'GET',
    path: '/federation/feeds?a=b',
    now,
  };

  it('holds for its method, path, receiver, network and time only', () => {
    const header = signRequest(caller, request);
    expect(verifyRequest(header, expected).caller).toBe(caller.peerId);
    for (const other of [
      { net: 'other' },
      { receiver: caller.peerId },
      { method: 'POST' },
      { path: '/federation/feeds?a=c' },
      { now: now + REQUEST_LIMITS.windowMs + 1 },
      { now: now - REQUEST_LIMITS.windowMs - 1 },
    ])
      expect(() => verifyRequest(header, { ...expected, ...other })).toThrow(/signed request/);
    expect(() => verifyRequest('nonsense', expected)).toThrow(/malformed/);
  });

  it('counts once, and a flood of one caller leaves room for the others', () => {
    const nonces = new RequestNonces();
    nonces.use(caller.peerId, 'a', now);
    expect(() => nonces.use(caller.peerId, 'a', now + 2 * REQUEST_LIMITS.windowMs - 1)).toThrow(
      /used before/,
    );
    nonces.use(receiver.peerId, 'a', now);
    for (let i = 1; i < REQUEST_LIMITS.noncesPerCaller; i++) nonces.use(caller.peerId, `n${i}`, now);
    expect(() => nonces.use(caller.peerId, 'more', now)).toThrow(/too many/);
    nonces.use(receiver.peerId, 'b', now);
    nonces.use(caller.peerId, 'later', now + 2 * REQUEST_LIMITS.windowMs);
  });
});
