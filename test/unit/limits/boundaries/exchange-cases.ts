import { errorCode } from '../../../../protocols/errors.ts';
import { encodePage } from '../../../../protocols/mycelium/frontier-page.ts';
import { sequenceItem } from '../../../../protocols/mycelium/frontier-sequence.ts';
import { framesOf } from '../../../../protocols/mycelium/range-frame.ts';
import { encodeItem, ITEM_HEAD_BYTES, type RangeItem } from '../../../../protocols/mycelium/range-item.ts';
import { encodeRangeRequest, type RangeRequest } from '../../../../protocols/mycelium/range.ts';
import { REQUEST_LIMITS, RequestNonces } from '../../../../protocols/mycelium/signed-request.ts';
import { encodeOp } from '../../../../protocols/feed/op.ts';
import { base64url, concat } from '../../../../protocols/wire/bytes.ts';
import type { PeerId } from '../../../../protocols/wire/identity.ts';
import { LIMITS } from '../../../../protocols/wire/limits.ts';
import { inlineOffload } from '../../../support/inline-offload.ts';
import { someIdentity } from '../../../support/forge.ts';
import type { Bench } from './bench.ts';
import type { AllCases, CasesOf } from './case.ts';
import { REGISTRY_CASES } from './node-cases.ts';
import {
  CATCH_UP_TRIES,
  EXCHANGES_CASES,
  GOSSIP_CASES,
  OFFENCE_CASES,
  PREFIX_CASES,
  RENDEZVOUS_CASES,
  SHOWN_CASES,
  SLICE_CASES,
} from './pace-cases.ts';
import { FRONTIER_SEQUENCE_BYTES } from './source-cases.ts';
import { ANNOUNCE_CASES, FRONTIER_CASES, notice, PEER_EXCHANGE_CASES, RANGE_CASES } from './stream-cases.ts';
import { NO_DIGEST } from './wire-cases.ts';

const SLOTS_TEST = 'test/unit/mycelium/answer-slots.test.ts';
const CATCH_UP_TEST = 'test/unit/mycelium/catch-up.test.ts';

const REGISTRY_TEST = 'test/unit/registry/nodes.test.ts';
const FLOODS = 'test/sim/floods.test.ts';

/** A request for an author's public feed that holds so many epochs, each as small as it can be, or as large. */
function requestOf(author: PeerId, count: number, large = false): RangeRequest {
  const have = Array.from({ length: count }, (_, i) => {
    const epoch = i.toString(16).padStart(16, '0');
    return large
      ? { epoch, seq: LIMITS.feedEntries, hash: '22'.repeat(32), fork: '33'.repeat(32) }
      : { epoch, seq: 0, hash: '' };
  });
  return { author, channel: 'public', have };
}
/** A request whose base64url has so many characters: large epochs, small ones, and one whose number is of any size. */
function requestOfCharacters(author: PeerId, characters: number): string {
  const bytes = Math.floor((characters * 3) / 4);
  const lengthOf = (have: RangeRequest['have']): number =>
    encodeRangeRequest({ author, channel: 'public', have }).length;
  const each = lengthOf(requestOf(author, 2).have) - lengthOf(requestOf(author, 1).have);
  for (let large = 0; large < 40; large++) {
    const some = requestOf(author, large, true).have.map((item, i) => ({
      ...item,
      epoch: `f${String(i).padStart(15, '0')}`,
    }));
    const about = Math.floor((bytes - lengthOf(some)) / each);
    for (let small = Math.max(0, about - 6); small < about; small++)
      for (const seq of [0, 30, 300, 70_000]) {
        const last = { epoch: 'e'.repeat(16), seq, hash: '', fork: '33'.repeat(32) };
        const have = [...some, ...requestOf(author, small).have, last];
        const encoded = encodeRangeRequest({ author, channel: 'public', have });
        if (encoded.length === bytes) return base64url(encoded);
      }
  }
  throw new Error(`no request of ${characters} characters`);
}

/** So many streams of a protocol at once, each of which asks for nothing yet; how many were refused. */
async function atOnce(bench: Bench, name: 'frontier' | 'range', count: number): Promise<number> {
  const request = encodeRangeRequest({ author: bench.peer.peerId, channel: 'public', have: [] });
  const frames = name === 'range' ? [request] : [encodePage([])];
  const streams = [];
  for (let i = 0; i < count; i++) streams.push(await bench.open(name));
  // A notice behind them: once it is taken the node has heard of all of them.
  await bench.throw('announce', [notice(bench)]);
  const ends = await Promise.all(streams.map((stream) => stream.finish(frames)));
  return ends.filter((end) => end === 'reset').length;
}

/** What nodes ask one another, over libp2p and HTTP. */
const ASKED = 'test/unit/mycelium/ask-budget.test.ts';

export const EXCHANGE_CASES = {
  'protocols/mycelium/exchanges.ts': EXCHANGES_CASES,
  'protocols/mycelium/gossip-intake.ts': GOSSIP_CASES,
  'protocols/mycelium/pull.ts': SLICE_CASES,
  'protocols/mycelium/shown-frontiers.ts': SHOWN_CASES,
  'protocols/mycelium/frontier-exchange.ts': {
    pages: {
      over: 'libp2p',
      send: (bench, n) =>
        bench.throw(
          'frontier',
          Array.from({ length: n }, () => encodePage([])),
        ),
      gives: ['closed', 'closed', 'reset'],
    },
    ...FRONTIER_CASES,
    answeringPerPeer: {
      over: 'libp2p',
      send: (bench, n) => atOnce(bench, 'frontier', n),
      gives: [0, 0, 1],
    },
    askBurst: { shownBy: [ASKED, 'askBurst questions are answered at once'] },
    askEveryMs: { shownBy: [ASKED, 'and one more after each askEveryMs'] },
    askPages: { shownBy: [ASKED, 'askPages pages cost as much as a question'] },
  },
  'protocols/mycelium/frontier-sequence.ts': {
    sequencePages: {
      over: 'HTTP',
      send: (bench, n) =>
        bench.ask(
          'POST',
          `/federation/plan?source=${bench.peer.peerId}`,
          concat([...Array.from({ length: n }, () => sequenceItem(encodePage([]))), NO_DIGEST]),
          { 'content-type': 'application/cbor-seq' },
        ),
      gives: ['200', '200', '400 body-malformed'],
    },
    sequenceBytes: FRONTIER_SEQUENCE_BYTES,
  },
  'protocols/mycelium/range.ts': {
    epochs: {
      over: 'HTTP',
      send: async (bench, n) => {
        const { peerId } = bench.peer;
        const ask = (large: boolean): Promise<string> =>
          bench.ask('POST', `/federation/feeds/${peerId}`, encodeRangeRequest(requestOf(peerId, n, large)), {
            'content-type': 'application/cbor',
          });
        return [await ask(false), await ask(true)];
      },
      gives: [
        ['200', '200'],
        ['200', '200'],
        ['400 query-invalid', '400 query-invalid'],
      ],
    },
    requestBytes: {
      over: 'HTTP',
      // As many bytes of nothing: the largest request that holds 5,000 epochs has 440 KB.
      send: (bench, n) =>
        bench.ask('POST', `/federation/feeds/${bench.peer.peerId}`, new Uint8Array(n), {
          'content-type': 'application/cbor',
        }),
      gives: ['400 query-invalid', '400 query-invalid', '413 body-too-large'],
    },
    idleMs: {
      shownBy: [
        'test/sim/tarpit.test.ts',
        'a peer that never answers a range request holds up nobody for longer than a pull may be idle',
      ],
    },
    ...RANGE_CASES,
    answering: {
      shownBy: [
        SLOTS_TEST,
        'RANGE_LIMITS.answeringPerPeer for one peer, and RANGE_LIMITS.answering in total',
      ],
    },
    further: { shownBy: [SLOTS_TEST, 'RANGE_LIMITS.further beyond the first of each'] },
    answeringPerPeer: { over: 'libp2p', send: (bench, n) => atOnce(bench, 'range', n), gives: [0, 0, 1] },
  },
  'protocols/mycelium/range-frame.ts': {
    frameBytes: {
      shownBy: [
        'test/unit/exchange/entry-limit.test.ts',
        'over libp2p: announced by gossip, pulled as a range',
      ],
    },
    frameItems: {
      over: 'HTTP',
      send: async (bench, n) => {
        const hand = await bench.hand();
        const op = encodeOp({ v: 1, c: 'later', k: '', t: 'fact', d: new Uint8Array(1) });
        const item = encodeItem({ kind: 'entry', bytes: hand.next([op]).bytes });
        const query = new URLSearchParams({
          source: bench.peer.peerId,
          author: hand.identity.peerId,
          channel: 'public',
        });
        return bench.ask(
          'POST',
          `/federation/entries?${query.toString()}`,
          concat(Array.from({ length: n }, () => item)),
          { 'content-type': 'application/cbor-seq' },
        );
      },
      gives: ['200', '200', '413 body-too-large'],
    },
    gatherBytes: {
      over: 'in process',
      why: 'how many frames a peer is sent',
      // One entry of so many bytes, what a frame begins with and its own head among them, and another.
      async send(_, n) {
        async function* items(): AsyncGenerator<RangeItem> {
          yield { kind: 'entry', bytes: new Uint8Array(n - 1 - ITEM_HEAD_BYTES) };
          yield { kind: 'entry', bytes: new Uint8Array(1) };
        }
        let frames = 0;
        for await (const _frame of framesOf(items(), inlineOffload)) frames++;
        return frames;
      },
      gives: [1, 2, 2],
    },
  },
  'protocols/mycelium/offences.ts': OFFENCE_CASES,
  'protocols/digest/prefix.ts': {
    digits: {
      over: 'HTTP',
      send: (bench, n) =>
        bench.ask('GET', `/federation/digest/${bench.self.peerId}/listings?prefix=${'a'.repeat(n)}`),
      gives: ['200', '200', '400 query-invalid'],
    },
    ...PREFIX_CASES,
  },
  'protocols/mycelium/catch-up.ts': {
    pulls: { shownBy: [CATCH_UP_TEST, 'CATCH_UP_LIMITS.pulls + 2'] },
    pullsPerPeer: { shownBy: [CATCH_UP_TEST, 'toHaveLength(CATCH_UP_LIMITS.pullsPerPeer)'] },
    further: { shownBy: [CATCH_UP_TEST, 'CATCH_UP_LIMITS.further'] },
    pullsOfFailing: { shownBy: [CATCH_UP_TEST, 'toBeLessThanOrEqual(CATCH_UP_LIMITS.pullsOfFailing)'] },
    retryMs: { shownBy: [CATCH_UP_TEST, 'started(plan, CATCH_UP_LIMITS.retryMs - 1)'] },
    tries: CATCH_UP_TRIES,
    patience: { shownBy: [FLOODS, 'CATCH_UP_LIMITS.patience + CATCH_UP_LIMITS.pullsPerPeer'] },
    wanted: { shownBy: [FLOODS, 'i < CATCH_UP_LIMITS.wanted'] },
    wantedPerPeer: { shownBy: [FLOODS, 'toBe(CATCH_UP_LIMITS.wantedPerPeer)'] },
  },
  'protocols/mycelium/announce.ts': ANNOUNCE_CASES,
  'protocols/mycelium/signed-request.ts': {
    windowMs: { shownBy: ['test/unit/mycelium/item-sequence.test.ts', 'REQUEST_LIMITS.windowMs'] },
    headerCharacters: {
      over: 'HTTP',
      send: (bench, n) =>
        bench.ask('GET', '/federation/feeds', undefined, { 'x-agrinet-request': 'A'.repeat(n) }),
      gives: ['403 request-unsigned', '403 request-unsigned', '400 query-invalid'],
    },
    haveCharacters: {
      over: 'HTTP',
      // 4,097 characters are no base64url; a longer one is posted.
      sizes: [4095, 4096, 4098],
      send: async (bench, n) => {
        const { peerId } = bench.peer;
        const have = requestOfCharacters(peerId, n);
        const path = `/federation/feeds/${peerId}?channel=public`;
        return [
          await bench.askSigned('GET', `${path}&have=${have}`),
          await bench.askSigned('POST', path, Buffer.from(have, 'base64url')),
        ];
      },
      gives: [
        ['200', '200'],
        ['200', '200'],
        ['400 query-invalid', '200'],
      ],
    },
    nonces: {
      over: 'in process',
      why: 'sixty-five thousand signatures of seventeen nodes are minutes of work',
      send: async ({ random }, n) => {
        const nonces = new RequestNonces();
        let busy = 0;
        // Of each caller as many as it may have.
        for (let left = n; left > 0; left -= REQUEST_LIMITS.noncesPerCaller) {
          const caller = someIdentity(random).peerId;
          for (let i = 0; i < Math.min(left, REQUEST_LIMITS.noncesPerCaller); i++)
            if (isBusy(() => nonces.use(caller, String(i), 0))) busy++;
        }
        return busy;
      },
      gives: [0, 0, 1],
    },
    noncesPerCaller: {
      shownBy: [
        'test/unit/mycelium/item-sequence.test.ts',
        'counts once, and a flood of one caller leaves room for the others',
      ],
    },
  } satisfies CasesOf<'protocols/mycelium/signed-request.ts'>,
  'protocols/discovery/peer-exchange.ts': {
    records: {
      shownBy: ['test/unit/discovery/peer-exchange.test.ts', 'throws a malformed answer away whole'],
    },
    recordBytes: {
      shownBy: ['test/unit/discovery/peer-exchange.test.ts', 'throws a malformed answer away whole'],
    },
    responseBytes: {
      shownBy: ['test/unit/discovery/peer-exchange.test.ts', 'throws a malformed answer away whole'],
    },
    ...PEER_EXCHANGE_CASES,
  },
  'protocols/discovery/rendezvous.ts': RENDEZVOUS_CASES,
  'protocols/registry/registry.ts': {
    ...REGISTRY_CASES,
    pending: { shownBy: [REGISTRY_TEST, 'bound what waits for the operator'] },
    perAsker: {
      shownBy: [REGISTRY_TEST, 'cannot be filled with the keys of one user, however many come at once'],
    },
    nonces: { shownBy: [REGISTRY_TEST, 'are bounded: a flood is refused, not forgotten'] },
    noncesPerAsker: { shownBy: [REGISTRY_TEST, 'leave room for others, and are given back with time'] },
  },
} satisfies Partial<AllCases>;

/** Whether work is refused for want of room. */
function isBusy(work: () => void): boolean {
  try {
    work();
    return false;
  } catch (error) {
    if (errorCode(error) !== 'busy') throw error;
    return true;
  }
}
