import { describe, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import {
  ADDRESS_BOOK_LIMITS,
  type StoredAddresses,
  AddressBook,
} from '../../../protocols/discovery/address-book.ts';
import { createDialRule } from '../../../protocols/discovery/dial-rule.ts';
import type { AddressPolicy } from '../../../protocols/wire/address-policy.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';

const open: AddressPolicy = { allowLoopback: true, allowPrivate: true };
const closed: AddressPolicy = { allowLoopback: false, allowPrivate: false };
const peer = (at: number): string => {
  const seed = new Uint8Array(32);
  new DataView(seed.buffer).setUint32(0, at + 1);
  return identityFromSeed(seed).peerId;
};

function bookOf(
  policy: AddressPolicy,
  options: { stored?: readonly StoredAddresses[]; registered?: (peerId: string) => boolean } = {},
): { book: AddressBook; saved: (readonly StoredAddresses[])[]; clock: { now: number } } {
  const saved: (readonly StoredAddresses[])[] = [];
  const clock = { now: 1000 };
  const book = new AddressBook(
    {
      store: {
        load: () => Promise.resolve(options.stored ?? []),
        save: async (entries) => void saved.push(entries),
      },
      env: { ...systemEnv, now: () => clock.now++ },
      isRegistered: options.registered ?? (() => false),
      onSaveFailure: (error) => {
        throw error;
      },
    },
    createDialRule(policy, options.registered ?? (() => false), []),
  );
  return { book, saved, clock };
}

describe('address book', () => {
  it('keeps the bare address, each once, and the one that worked first', () => {
    const { book } = bookOf(open);
    const id = peer(0);
    expect(
      book.add(id, [`/ip4/127.0.0.1/tcp/1/p2p/${id}`, '/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/2'], 'dht'),
    ).toBe(true);
    expect(book.addressesOf(id)).toEqual(['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/2']);
    book.reached(id, `/ip4/127.0.0.1/tcp/2/p2p/${id}`);
    expect(book.addressesOf(id)[0]).toBe('/ip4/127.0.0.1/tcp/2');
  });

  it('hearsay does not displace what the peer itself said', () => {
    const { book } = bookOf(open);
    const many = (from: number): string[] =>
      Array.from(
        { length: ADDRESS_BOOK_LIMITS.addressesPerPeer },
        (_, at) => `/ip4/127.0.0.1/tcp/${from + at}`,
      );
    book.add(peer(0), many(100), 'connected');
    book.add(peer(0), many(500), 'dht');
    expect(book.addressesOf(peer(0))).toEqual(many(100));
    book.add(peer(0), many(700), 'registered');
    expect(book.addressesOf(peer(0))).toEqual(many(700));
  });

  it('refuses what is not an address, not a peer id, of another peer, or too long', () => {
    const { book } = bookOf(open);
    expect(
      book.add(
        peer(0),
        ['nonsense', '', `/ip4/1.2.3.4/tcp/1/p2p/${peer(1)}`, `/dns4/${'a'.repeat(300)}/tcp/1`],
        'dht',
      ),
    ).toBe(false);
    expect(book.add('not-a-peer', ['/ip4/127.0.0.1/tcp/1'], 'dht')).toBe(false);
    expect(book.entries()).toEqual([]);
  });

  it('is bounded: the stranger seen longest ago goes, a registered peer never', () => {
    const { book } = bookOf(open, { registered: (peerId) => peerId === peer(0) });
    for (let at = 0; at < ADDRESS_BOOK_LIMITS.peers + 10; at++)
      book.add(peer(at), ['/ip4/127.0.0.1/tcp/1'], 'dht');
    expect(book.entries()).toHaveLength(ADDRESS_BOOK_LIMITS.peers);
    expect(book.addressesOf(peer(0))).toHaveLength(1);
    expect(book.addressesOf(peer(1))).toHaveLength(0);
    expect(book.addressesOf(peer(ADDRESS_BOOK_LIMITS.peers + 9))).toHaveLength(1);
  });

  it('comes back from its store, checked again by the policy of today', async () => {
    const first = bookOf(open);
    first.book.add(peer(0), ['/ip4/127.0.0.1/tcp/1', '/ip4/8.8.8.8/tcp/1'], 'exchange');
    await first.book.stop();
    expect(first.saved).toHaveLength(1);
    const again = bookOf(closed, { stored: first.saved[0] ?? [] });
    await again.book.load();
    expect(again.book.entries()).toMatchObject([
      { peerId: peer(0), addresses: ['/ip4/8.8.8.8/tcp/1'], lastSeen: 1000 },
    ]);
  });

  it('writes again after a save that failed', async () => {
    let fail = true;
    const saved: (readonly StoredAddresses[])[] = [];
    const book = new AddressBook(
      {
        store: {
          load: () => Promise.resolve([]),
          save: async (entries) => {
            if (fail) throw new Error('disk full');
            saved.push(entries);
          },
        },
        env: systemEnv,
        isRegistered: () => false,
        onSaveFailure: () => undefined,
      },
      createDialRule(open, () => false, []),
    );
    book.add(peer(0), ['/ip4/127.0.0.1/tcp/1'], 'dht');
    await expect(book.save()).rejects.toThrow('disk full');
    fail = false;
    await book.stop();
    expect(saved[0]).toHaveLength(1);
  });
});
