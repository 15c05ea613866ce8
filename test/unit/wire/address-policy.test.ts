import { multiaddr } from '@multiformats/multiaddr';
import { describe, expect, it } from 'vitest';
import { urlRefusal } from '../../../daemon/federation/peer-addresses.ts';
import { addressAllowed } from '../../../protocols/discovery/dial-rule.ts';
import {
  type AddressPolicy,
  type Carrier,
  type NamedBy,
  refusalOf,
} from '../../../protocols/wire/address-policy.ts';
import { kindOf, SPECIAL_ADDRESSES } from '../../../protocols/wire/special-addresses.ts';
import { randomFrom } from '../../support/forge.ts';

/** The registries once more, as numbers, so that nothing of what is tried is parsed by the code under test. */
const V4: readonly (readonly [first: number, bits: number, kind: string])[] = [
  [0x00000000, 8, 'never'],
  [0x0a000000, 8, 'private'],
  [0x64400000, 10, 'private'],
  [0x7f000000, 8, 'loopback'],
  [0xa9fe0000, 16, 'never'],
  [0xac100000, 12, 'private'],
  [0xc0000000, 24, 'never'],
  [0xc0000200, 24, 'never'],
  [0xc01fc400, 24, 'never'],
  [0xc034c100, 24, 'never'],
  [0xc0586300, 24, 'never'],
  [0xc0a80000, 16, 'private'],
  [0xc0af3000, 24, 'never'],
  [0xc6120000, 15, 'never'],
  [0xc6336400, 24, 'never'],
  [0xcb007100, 24, 'never'],
  [0xe0000000, 4, 'never'],
  [0xf0000000, 4, 'never'],
];
const V6: readonly (readonly [first: bigint, bits: number, kind: string])[] = [
  [1n, 128, 'loopback'],
  [0n, 96, 'never'],
  [0xffff_0000_0000n, 96, 'never'],
  [0xffff_0000_0000_0000n, 96, 'never'],
  [0x0064_ff9bn << 96n, 96, 'never'],
  [0x0064_ff9b_0001n << 80n, 48, 'never'],
  [0x0100n << 112n, 64, 'never'],
  [0x2001n << 112n, 32, 'never'], // Teredo
  [0x2001_0002n << 96n, 48, 'never'],
  [0x2001_0020n << 96n, 28, 'never'],
  [0x2001_0db8n << 96n, 32, 'never'],
  [0x2002n << 112n, 16, 'never'],
  [0x2620_004f_8000n << 80n, 48, 'never'],
  [0x3ffen << 112n, 16, 'never'],
  [0x3fffn << 112n, 20, 'never'],
  [0x5f00n << 112n, 16, 'never'],
  [0xfc00n << 112n, 7, 'private'],
  [0xfe80n << 112n, 10, 'never'],
  [0xfec0n << 112n, 10, 'never'],
  [0xff00n << 112n, 8, 'never'],
];

const v4 = (n: number): string => [24, 16, 8, 0].map((shift) => (n >>> shift) & 255).join('.');
const long6 = (n: bigint): string =>
  Array.from({ length: 8 }, (_, at) => ((n >> BigInt(112 - 16 * at)) & 0xffffn).toString(16)).join(':');
/** The last 32 bits in dotted form. */
const dotted6 = (n: bigint): string =>
  `${long6(n).split(':').slice(0, 6).join(':')}:${v4(Number(n & 0xffffffffn))}`;

const POLICIES: readonly AddressPolicy[] = [
  { allowPrivate: false },
  { allowPrivate: false, allowLoopback: true },
  { allowPrivate: true },
];
const CARRIERS: readonly Carrier[] = ['https', 'http', 'libp2p'];
const NAMED_BY: readonly NamedBy[] = ['operator', 'known', 'stranger'];

/** Every decision about an address of this kind, by whatever way it is asked for. */
function expectDecided(address: string, kind: string): void {
  expect(kindOf(address), address).toBe(kind);
  for (const policy of POLICIES)
    for (const by of NAMED_BY) {
      const loopback =
        policy.allowPrivate || by === 'operator' || (policy.allowLoopback === true && by === 'known');
      const allowed = {
        never: false,
        loopback,
        private: policy.allowPrivate || by === 'operator',
        public: true,
      };
      const wanted = allowed[kind as keyof typeof allowed];
      for (const carrier of CARRIERS) {
        const plain = kind === 'public' && carrier === 'http' && !policy.allowPrivate;
        const what = `${address} over ${carrier} by ${by} under ${JSON.stringify(policy)}`;
        expect(refusalOf(address, carrier, policy, by) === undefined, what).toBe(wanted && !plain);
      }
      const family = address.includes(':') ? 'ip6' : 'ip4';
      const dialled = addressAllowed(multiaddr(`/${family}/${address}/tcp/7000`), policy, by);
      expect(dialled, `dial ${address}`).toBe(wanted);
      if (by === 'known')
        expect(urlRefusal(address, 'https:', policy) === undefined, `ask ${address}`).toBe(dialled);
    }
}

describe('one address policy', () => {
  it('knows every special range, in both notations, and mapped, from its first address to its last', () => {
    for (const [first, bits, kind] of V4) {
      const last = first + 2 ** (32 - bits) - 1;
      for (const n of [first, first + Math.floor((last - first) / 2), last]) {
        expectDecided(v4(n), kind);
        for (const prefix of [0xffff_0000_0000n, 0n, 0xffff_0000_0000_0000n, 0x0064_ff9bn << 96n]) {
          const inside = prefix | BigInt(n);
          if (inside === 1n) continue; // ::1 has a meaning of its own
          expectDecided(long6(inside), 'never');
          expectDecided(dotted6(inside), 'never');
        }
        // 6to4 carries it in the middle
        expectDecided(long6((0x2002n << 112n) | (BigInt(n) << 80n)), 'never');
      }
    }
    for (const [first, bits, kind] of V6) {
      const last = first | ((1n << BigInt(128 - bits)) - 1n);
      for (const n of new Set([first, (first + last) / 2n, last])) {
        if (n === 1n && kind !== 'loopback') continue;
        expectDecided(long6(n), kind);
        if (n !== 0n) expectDecided(dotted6(n), kind);
      }
    }
    for (const short of ['::', '::127.0.0.1', '::ffff:8.8.8.8', 'fe80::1', '64:ff9b::1'])
      expectDecided(short, 'never');
    expectDecided('::1', 'loopback');
    expect(kindOf('fe80::1%eth0')).toBe('never');
    expect(kindOf('not an address')).toBe('never');
  });

  it('takes what lies just outside of them, and in the one global block of IPv6 only', () => {
    for (const edge of [
      '9.255.255.255',
      '11.0.0.0',
      '100.63.255.255',
      '100.128.0.0',
      '126.255.255.255',
      '128.0.0.0',
    ])
      expectDecided(edge, 'public');
    for (const edge of ['172.15.255.255', '172.32.0.0', '198.17.255.255', '198.20.0.0', '223.255.255.255'])
      expectDecided(edge, 'public');
    for (const edge of [
      '2001:200::',
      '2003::',
      '2606:4700::1111',
      '3ffd:ffff::',
      '2001:db7::1',
      '2001:db9::1',
    ])
      expectDecided(edge, 'public');
    for (const outside of ['1fff:ffff::', '4000::', '1::', 'fbff::1', 'abcd::1'])
      expectDecided(outside, 'never');
  });

  it('decides random addresses as the numbers say', () => {
    const seed = Number(process.env['SEED'] ?? 11);
    const random = randomFrom(seed);
    for (let n = 0; n < 2000; n++) {
      const address = random.int(2 ** 32);
      const found = V4.find(
        ([first, bits]) => Math.floor(address / 2 ** (32 - bits)) === first / 2 ** (32 - bits),
      );
      expect(kindOf(v4(address)), `seed ${seed}: ${v4(address)}`).toBe(found?.[2] ?? 'public');
      const wide = random.bytes(16).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
      const own = V6.find(([first, bits]) => wide >> BigInt(128 - bits) === first >> BigInt(128 - bits));
      // 2001::/23 is listed in parts above.
      const inside = wide >> 125n === 1n && wide >> 105n !== 0x2001_0000n >> 9n;
      const kind = own?.[2] ?? (inside ? 'public' : 'never');
      expect(kindOf(long6(wide)), `seed ${seed}: ${long6(wide)}`).toBe(kind);
    }
  });

  it('gives a reason for each range', () => {
    for (const [range, , what] of SPECIAL_ADDRESSES) expect(what, range).toMatch(/RFC \d+/);
  });
});
