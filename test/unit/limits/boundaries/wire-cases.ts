import { makeForkProof } from '../../../../protocols/feed/fork.ts';
import { NewFeeds } from '../../../../protocols/ledger/new-feeds.ts';
import { encodeOp } from '../../../../protocols/feed/op.ts';
import { decodeMembership, encodeMembership } from '../../../../protocols/open-dialog/membership.ts';
import { encodePage, type FrontierGroup } from '../../../../protocols/mycelium/frontier-page.ts';
import { sequenceItem } from '../../../../protocols/mycelium/frontier-sequence.ts';
import { decodeCbor, encodeCbor } from '../../../../protocols/wire/cbor.ts';
import { concat } from '../../../../protocols/wire/bytes.ts';
import type { Identity } from '../../../../protocols/wire/identity.ts';
import { recordKey } from '../../../../protocols/wire/ids.ts';
import { Hand, someIdentity } from '../../../support/forge.ts';
import type { Bench } from './bench.ts';
import type { CasesOf } from './case.ts';

const taken = async (work: () => unknown): Promise<string> => {
  try {
    return (await work()) === undefined ? 'refused' : 'taken';
  } catch {
    return 'refused';
  }
};
const op = (d: Uint8Array): Uint8Array => encodeOp({ v: 1, c: 'later', k: '', t: 'fact', d });
/** One op of exactly so many bytes. */
function opOf(bytes: number): Uint8Array {
  return op(new Uint8Array(bytes - (op(new Uint8Array(bytes - 100)).length - (bytes - 100))));
}

/** A page of exactly so many bytes: the ids of private channels are as long as it takes. */
export function pageOf(bench: Bench, bytes: number): Uint8Array {
  const author = bench.peer.peerId;
  let epochs = 0; // each stands once in a frontier
  const group = (letters: number): FrontierGroup => ({
    author,
    channel: recordKey('conversations', author, 'x'.repeat(letters)),
    digest: '',
    items: [{ epoch: (++epochs).toString(16).padStart(16, '0'), seq: 1, hash: '11'.repeat(32) }],
  });
  const longest = encodePage([group(64)]).length;
  const each = encodePage([group(64), group(64)]).length - longest;
  const groups = Array.from({ length: Math.max(0, Math.floor((bytes - 4 * longest) / each)) }, () =>
    group(64),
  );
  const short = (count: number): FrontierGroup[] => Array.from({ length: count }, () => group(1));
  const count = [4, 5, 6, 7].find((many) => {
    const left = bytes - encodePage([...groups, ...short(many)]).length;
    return left >= 0 && left <= many * 63;
  });
  let left = bytes - encodePage([...groups, ...short(count ?? 0)]).length;
  const last = short(count ?? 0).map(() => {
    const more = Math.min(left, 63);
    left -= more;
    return group(1 + more);
  });
  const page = encodePage([...groups, ...last]);
  if (page.length !== bytes) throw new Error(`a page of ${page.length} bytes instead of ${bytes}`);
  return page;
}
export const NO_DIGEST = sequenceItem(new Uint8Array(32));

const ENTRY_TEST = 'test/unit/exchange/entry-limit.test.ts';
const FORK_TEST = 'test/unit/ledger/fork-limit.test.ts';

/** Who has begun how many epochs, and forked how many. */
const begun = new WeakMap<Bench, { readonly hand: Hand; readonly epochs: number }>();
const forgers = new WeakMap<Bench, { readonly identity: Identity; forks: number }>();

/** Entries, ops and documents: what a peer signs, brought in a feed file, which is the one admission. */
export const WIRE_CASES: CasesOf<'protocols/wire/limits.ts'> = {
  entryBytes: { shownBy: [ENTRY_TEST, 'over HTTPS, by the daemon itself and by a worker'] },
  entryOps: {
    over: 'file',
    send: async (bench, n) => {
      const hand = await bench.hand();
      return bench.file([
        hand.raw(
          Array.from({ length: n }, () => op(new Uint8Array(1))),
          {},
        ),
      ]);
    },
    gives: [1, 1, 'entry-malformed'],
  },
  feedEntries: {
    over: 'file',
    send: async (bench, n) => {
      const hand = await bench.hand();
      const after = [[bench.random.bytes(8), n, bench.random.bytes(32)]];
      return bench.file([hand.raw([op(new Uint8Array(1))], { after })]);
    },
    gives: [1, 1, 'header-malformed'],
  },
  gossipEntryBytes: {
    shownBy: [ENTRY_TEST, 'an entry at the limit of gossip goes out whole, one above it is announced'],
  },
  payloadItems: {
    over: 'in process',
    why: 'what a payload may hold of each kind is bounded below it: this is what a decoder refuses before it builds anything',
    send: (_, n) => taken(() => decodeCbor(encodeCbor(Array.from({ length: n - 1 }, () => 0)))),
    gives: ['taken', 'taken', 'refused'],
  },
  carrierBytes: { shownBy: [ENTRY_TEST, 'over libp2p: announced by gossip, pulled as a range'] },
  headerBytes: {
    over: 'file',
    // The largest header that its fields give, 32 of `after`, has 1.9 KiB: a longer one is refused before it is read.
    send: async (bench, n) => {
      const hand = await bench.hand();
      return bench.file([hand.payload(new Uint8Array(n), [op(new Uint8Array(1))])]);
    },
    gives: ['not-canonical', 'not-canonical', 'header-malformed'],
  },
  afterEpochs: {
    over: 'file',
    send: async (bench, n) => {
      const hand = await bench.hand();
      const after = Array.from({ length: n }, () => [bench.random.bytes(8), 1, bench.random.bytes(32)]);
      return bench.file([hand.raw([op(new Uint8Array(1))], { after })]);
    },
    gives: [1, 1, 'header-malformed'],
  },
  opBytes: {
    over: 'file',
    send: async (bench, n) => {
      const hand = await bench.hand();
      return bench.file([hand.raw([opOf(n)], {})]);
    },
    gives: [1, 1, 'entry-malformed'],
  },
  keyBytes: {
    over: 'file',
    send: async (bench, n) => {
      const hand = await bench.hand();
      const malformed = encodeOp({
        v: 1,
        c: 'listings',
        k: 'x'.repeat(n),
        t: 'create',
        d: new Uint8Array(1),
      });
      return [await bench.file([hand.next([malformed]).bytes]), await bench.verdictOn(hand)];
    },
    // An op is void either way, because no valid key is as long; it is told by what it is refused for.
    gives: [
      [1, 'key-malformed'],
      [1, 'key-malformed'],
      [1, 'op-malformed'],
    ],
  },
  changeOps: { shownBy: ['test/unit/open-dialog/change.test.ts', '257 operations'] },
  participants: {
    over: 'in process',
    why: 'the creation of a private record is an op, and its admission that of any op',
    send: ({ random }, n) => {
      const list = Array.from({ length: n }, () => someIdentity(random).peerId).sort();
      const [owner] = list;
      if (owner === undefined) throw new Error('nobody');
      const members = { owner, writers: list, participants: list };
      return taken(() => decodeMembership(encodeMembership(members, random.bytes(16))));
    },
    gives: ['taken', 'taken', 'refused'],
  },
  epochsPerDay: {
    over: 'file',
    // Of one author, first all below the limit, then one more at a time.
    send: async (bench, n) => {
      const { hand, epochs } = begun.get(bench) ?? { hand: await bench.hand(), epochs: 0 };
      begun.set(bench, { hand, epochs: n });
      return bench.file(
        Array.from(
          { length: n - epochs },
          () => new Hand(hand.identity, bench.random.hex(8)).next([op(new Uint8Array(1))]).bytes,
        ),
      );
    },
    gives: [999, 1, 'epochs-exceeded'],
  },
  privateFeedsPerEpoch: {
    over: 'in process',
    why: 'ten thousand channels of one author; test/sim/floods.test.ts sends them',
    // In a share of the epochs that an author may begin in a day.
    send: async ({ peer }, n) => {
      const feeds = new NewFeeds({ feedGroups: () => [] }, () => 0);
      for (let i = 0; i < n; i++) feeds.note(peer.peerId, recordKey('conversations', peer.peerId, String(i)));
      return feeds.today(peer.peerId, recordKey('conversations', peer.peerId, 'any'));
    },
    gives: [0.9, 1, 1.1],
  },
  forksPerEpochDay: {
    shownBy: [
      FORK_TEST,
      'up to the limit each lower fork is taken, beyond it put off to the next day; whatever order, all end at the lowest',
    ],
  },
  forksPerDay: {
    over: 'file',
    // Of one author, first all below the limit, then one more at a time.
    send: async (bench, n) => {
      const forger = forgers.get(bench) ?? { identity: (await bench.hand()).identity, forks: 0 };
      forgers.set(bench, forger);
      const [entries, proofs]: [Uint8Array[], Uint8Array[]] = [[], []];
      for (; forger.forks < n; forger.forks++) {
        const hand = new Hand(forger.identity, bench.random.hex(8));
        const [one, other] = [1, 2].map((byte) => hand.sign([op(Uint8Array.of(byte))]));
        if (one === undefined || other === undefined) throw new Error('no entries');
        entries.push(one.bytes);
        proofs.push(makeForkProof(one, other).bytes);
      }
      return [await bench.file(entries), await bench.file(proofs, 'proof')];
    },
    gives: [
      [99, 0],
      [1, 0],
      [1, 'forks-exceeded'],
    ],
  },
  clockAheadMs: {
    shownBy: ['test/unit/feed/clock.test.ts', 'a clock more than five minutes ahead does not move this one'],
  },
  knownCollections: {
    over: 'HTTP',
    send: (bench, n) => {
      const letter = (i: number): string => String.fromCharCode(97 + i);
      const knows = Array.from({ length: n }, (_, i) => `${letter(Math.floor(i / 26))}${letter(i % 26)}.1`);
      return bench.ask('GET', `/federation/feeds?knows=${knows.join(',')}`);
    },
    gives: ['200', '200', '400 query-invalid'],
  },
  frontierBytes: {
    over: 'HTTP',
    send: (bench, n) =>
      bench.ask(
        'POST',
        `/federation/plan?source=${bench.peer.peerId}`,
        concat([sequenceItem(pageOf(bench, n)), NO_DIGEST]),
        { 'content-type': 'application/cbor-seq' },
      ),
    gives: ['200', '200', '400 body-malformed'],
  },
};
