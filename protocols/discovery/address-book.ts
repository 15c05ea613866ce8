import { multiaddr } from '@multiformats/multiaddr';
import type { Env, Timer } from '../env.ts';
import { parsePeerId } from '../wire/identity.ts';
import type { DialRule } from './dial-rule.ts';

/**
 * Where peers were last found: bounded, and stored through `AddressStore`, so that a restarted node does not depend on others to
 * find them. An entry is a hint from whoever gave it, never a reason to trust the peer.
 */
export const ADDRESS_BOOK_LIMITS = {
  peers: 1000,
  addressesPerPeer: 8,
  /** One multiaddr in text form; a relayed one with two peer ids has about 180 characters. */
  addressChars: 256,
  /** Changes are written together, at most this long after the first of them. */
  saveMs: 10_000,
  /** A contact so soon after the one before, at the same addresses, is not a change: the whole book is written for each change. */
  sameMs: 10 * 60_000,
} as const;

/** The source of an address, most trusted first: the operator or the registration, the peer itself, a signed record, anybody. */
export const ADDRESS_SOURCES = ['registered', 'connected', 'exchange', 'dht'] as const;
export type AddressSource = (typeof ADDRESS_SOURCES)[number];

/** One peer as the store keeps it. */
export interface StoredAddresses {
  readonly peerId: string;
  /** Multiaddrs without `/p2p/<peerId>`, best first. */
  readonly addresses: readonly string[];
  /** Unix milliseconds of the last contact or mention. */
  readonly lastSeen: number;
  readonly source: AddressSource;
}

export interface AddressStore {
  load(): Promise<readonly StoredAddresses[]>;
  /** Replaces everything. */
  save(entries: readonly StoredAddresses[]): Promise<void>;
}

export interface AddressBookComponents {
  readonly store: AddressStore;
  readonly env: Pick<Env, 'after' | 'now'>;
  /** Registered peers are never evicted from a full book. */
  readonly isRegistered: (peerId: string) => boolean;
  readonly onSaveFailure: (error: unknown) => void;
}

/** Empty until `load`. */
export class AddressBook {
  readonly #parts: AddressBookComponents;
  readonly #rule: Pick<DialRule, 'mayDial'>;
  readonly #peers = new Map<string, StoredAddresses>();
  /** Something has changed since the last save began. */
  #dirty = false;
  #timer: Timer | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(components: AddressBookComponents, rule: Pick<DialRule, 'mayDial'>) {
    this.#parts = components;
    this.#rule = rule;
  }

  /** Reads what was stored; entries that are not valid are left out. */
  async load(): Promise<void> {
    for (const entry of (await this.#parts.store.load()).slice(0, ADDRESS_BOOK_LIMITS.peers)) {
      if (ADDRESS_SOURCES.includes(entry.source))
        this.#put(entry.peerId, entry.addresses, entry.source, entry.lastSeen);
    }
  }

  /** Notes addresses of a peer; what the rule forbids is left out. True when the peer is in the book afterwards. */
  add(peerId: string, addresses: readonly string[], source: AddressSource): boolean {
    const some = addresses.slice(0, ADDRESS_BOOK_LIMITS.addressesPerPeer);
    return this.#put(peerId, some, source, this.#parts.env.now());
  }

  /** Notes that a peer was reached here, and puts this address first. */
  reached(peerId: string, address: string): void {
    this.#put(peerId, [address], 'connected', this.#parts.env.now());
  }

  addressesOf(peerId: string): readonly string[] {
    return this.#peers.get(peerId)?.addresses ?? [];
  }

  /** The peers with their addresses, seen last first. */
  entries(): StoredAddresses[] {
    return [...this.#peers.values()].toSorted((a, b) => b.lastSeen - a.lastSeen);
  }

  /** Writes what has changed. */
  save(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!this.#dirty) return this.#saving;
    this.#dirty = false;
    const entries = [...this.#peers.values()];
    this.#saving = this.#saving
      .catch(() => undefined) // told to whoever asked for that save
      .then(() => this.#parts.store.save(entries))
      .catch((error: unknown) => {
        this.#dirty = true;
        throw error;
      });
    return this.#saving;
  }

  stop(): Promise<void> {
    return this.save();
  }

  #put(peerId: string, found: readonly string[], source: AddressSource, lastSeen: number): boolean {
    if (parsePeerId(peerId) === undefined) return false;
    const before = this.#peers.get(peerId);
    const fresh = found.flatMap((text) => dialableOf(this.#rule, peerId, text) ?? []);
    const better =
      before === undefined || ADDRESS_SOURCES.indexOf(source) <= ADDRESS_SOURCES.indexOf(before.source);
    const old = before?.addresses ?? [];
    const merged = [...new Set(better ? [...fresh, ...old] : [...old, ...fresh])];
    if (merged.length === 0 || (before === undefined && !this.#makeRoom(peerId))) return before !== undefined;
    const after = {
      peerId,
      addresses: merged.slice(0, ADDRESS_BOOK_LIMITS.addressesPerPeer),
      lastSeen: Math.max(lastSeen, before?.lastSeen ?? 0),
      source: better ? source : before.source,
    };
    if (before !== undefined && isSame(before, after)) return true;
    this.#peers.delete(peerId);
    this.#peers.set(peerId, after);
    this.#changed();
    return true;
  }

  /** The unregistered peer seen longest ago goes; a book full of registered peers takes only registered ones. */
  #makeRoom(peerId: string): boolean {
    if (this.#peers.size < ADDRESS_BOOK_LIMITS.peers) return true;
    const { isRegistered } = this.#parts;
    let oldest: StoredAddresses | undefined;
    for (const entry of this.#peers.values()) {
      if (!isRegistered(entry.peerId) && (oldest === undefined || entry.lastSeen < oldest.lastSeen))
        oldest = entry;
    }
    if (oldest === undefined) return isRegistered(peerId);
    this.#peers.delete(oldest.peerId);
    return true;
  }

  #changed(): void {
    this.#dirty = true;
    this.#timer ??= this.#parts.env.after(
      ADDRESS_BOOK_LIMITS.saveMs,
      () => void this.save().catch(this.#parts.onSaveFailure),
    );
  }
}

function isSame(before: StoredAddresses, after: StoredAddresses): boolean {
  return (
    before.source === after.source &&
    after.lastSeen - before.lastSeen < ADDRESS_BOOK_LIMITS.sameMs &&
    before.addresses.join() === after.addresses.join()
  );
}

/** An address as the book keeps it, or undefined for one that is malformed, another peer's, or not to be dialled. */
function dialableOf(rule: Pick<DialRule, 'mayDial'>, peerId: string, text: string): string | undefined {
  if (text.length > ADDRESS_BOOK_LIMITS.addressChars) return undefined;
  try {
    const address = multiaddr(text);
    if (!rule.mayDial(address, peerId)) return undefined;
    const suffix = `/p2p/${peerId}`;
    const plain = address.toString();
    const bare = plain.endsWith(suffix) ? plain.slice(0, -suffix.length) : plain;
    // an address of another peer, unless it is the relay on the way to this one
    return bare.includes('/p2p/') && !bare.includes('/p2p-circuit') ? undefined : bare;
  } catch {
    return undefined; // not a multiaddr
  }
}
