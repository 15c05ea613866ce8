import { describe, expect, it } from 'vitest';
import { FETCH_LIMITS, Fetches, type Wanted } from '../../../daemon/attachments/fetches.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { Offences } from '../../../protocols/mycelium/offences.ts';
import type { PullEvent } from '../../../protocols/mycelium/pull-event.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { HandClock, settle, watchEnd } from '../../support/hand-clock.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const { fetching, fetchingPerAuthor, fetchMs, peers: most, failedMs, failed } = FETCH_LIMITS;

const bytesOf = (n: number): Uint8Array => Buffer.from(`attachment ${n}`);
/** The n-th attachment, of one of some authors. */
function wanted(n: number, author = 1): Wanted {
  const owner = nodeOf(author).peerId;
  return {
    record: recordKey('listings', owner, `l${n}`),
    sha256: sha256Hex(bytesOf(n)),
    owner,
    channel: 'public',
  };
}

function bench(
  peers: readonly string[],
  give: (peer: string, wanted: Wanted, signal: AbortSignal) => Promise<Uint8Array | undefined>,
) {
  const clock = new HandClock();
  const asked: string[] = [];
  const events: PullEvent[] = [];
  const offences = new Offences();
  const closing = new AbortController();
  const fetches = new Fetches({
    env: clock.env,
    closing: closing.signal,
    offences,
    now: clock.env.monotonic,
    onEvent: (event) => void events.push(event),
    holders: () => peers,
    ask(peer, what, signal) {
      asked.push(peer);
      return give(peer, what, signal);
    },
  });
  return { clock, asked, events, offences, closing, fetches };
}
const codeOf = (work: Promise<unknown>): Promise<string> => work.then(() => 'given', errorCode);

describe('fetching attachments', () => {
  it('asks so many peers, the first that has it last', async () => {
    const peers = Array.from({ length: most + 1 }, (_, i) => `peer ${i}`);
    const last = bench(peers, async (peer) => (peer === `peer ${most - 1}` ? bytesOf(1) : undefined));
    expect(await last.fetches.get(wanted(1))).toEqual(bytesOf(1));
    expect(last.asked).toEqual(peers.slice(0, most));
    const beyond = bench(peers, async (peer) => (peer === `peer ${most}` ? bytesOf(1) : undefined));
    expect(await codeOf(beyond.fetches.get(wanted(1)))).toBe('attachment-unavailable');
    expect(beyond.events).toEqual([]);
  });

  it('blames a peer that gives other bytes, passes it over from then on, and asks the next', async () => {
    const { fetches, asked, events } = bench(['liar', 'honest'], async (peer, { sha256 }) =>
      peer === 'liar' ? Buffer.from('something else') : sha256 === wanted(1).sha256 ? bytesOf(1) : bytesOf(2),
    );
    expect(await fetches.get(wanted(1))).toEqual(bytesOf(1));
    expect(events).toMatchObject([
      { kind: 'pull-failed', peer: 'liar', code: 'attachment-differs' },
      { kind: 'peer-distrusted', peer: 'liar', code: 'attachment-differs' },
    ]);
    expect(await fetches.get(wanted(2))).toEqual(bytesOf(2));
    expect(asked).toEqual(['liar', 'honest', 'honest']);
  });

  it('what nobody had is not asked for again so soon', async () => {
    const { fetches, asked, clock } = bench(['one'], async () => undefined);
    for (const [pass, times] of [
      [0, 1],
      [failedMs - 1, 1],
      [1, 2],
    ] as const) {
      await clock.pass(pass);
      expect(await codeOf(fetches.get(wanted(1)))).toBe('attachment-unavailable');
      expect(asked).toHaveLength(times);
    }
    // Who has just connected may have it.
    fetches.reachable();
    await codeOf(fetches.get(wanted(1)));
    expect(asked).toHaveLength(3);
  });

  it('remembers so many that nobody had', async () => {
    const { fetches, asked } = bench(['one'], async () => undefined);
    for (let n = 0; n <= failed; n++) await codeOf(fetches.get(wanted(n)));
    expect(asked).toHaveLength(failed + 1);
    await codeOf(fetches.get(wanted(1)));
    expect(asked).toHaveLength(failed + 1);
    await codeOf(fetches.get(wanted(0)));
    expect(asked).toHaveLength(failed + 2);
  });

  it('so many are under way in all, and of one author fewer', async () => {
    const { fetches } = bench(['slow'], () => new Promise(() => undefined));
    for (let n = 0; n < fetchingPerAuthor; n++) void fetches.get(wanted(n));
    expect(await codeOf(fetches.get(wanted(99)))).toBe('busy');
    // Who waits for one that is under way takes no place.
    expect(watchEnd(fetches.get(wanted(0)))()).toBe('goes on');
    for (let n = fetchingPerAuthor; n < fetching; n++) void fetches.get(wanted(n, n));
    await settle();
    expect(await codeOf(fetches.get(wanted(100, 100)))).toBe('busy');
  });

  it('a fetch that takes too long ends', async () => {
    const { fetches, clock } = bench(
      ['slow', 'next'],
      (_, __, signal) =>
        new Promise((_done, fail) => signal.addEventListener('abort', () => fail(signal.reason as Error))),
    );
    const end = watchEnd(fetches.get(wanted(1)));
    await clock.pass(fetchMs - 1);
    expect(end()).toBe('goes on');
    await clock.pass(2);
    expect(end()).toBe('attachment-unavailable');
  });

  it('a record that names what another names says nothing of it: neither that nobody has it, nor that it is on its way', async () => {
    const bait: Wanted = { ...wanted(1, 2), sha256: wanted(1).sha256 };
    const { fetches, asked } = bench(['one'], async (_, { owner }) =>
      owner === bait.owner ? undefined : bytesOf(1),
    );
    const both = [codeOf(fetches.get(bait)), codeOf(fetches.get(wanted(1)))];
    expect(await Promise.all(both)).toEqual(['attachment-unavailable', 'given']);
    expect(await codeOf(fetches.get(wanted(1)))).toBe('given');
    expect(asked).toHaveLength(3);
  });

  it('what is under way ends when the node begins to stop, and no peer is blamed', async () => {
    const { fetches, closing, events } = bench(
      ['slow', 'next'],
      (_, __, signal) =>
        new Promise((_done, fail) => signal.addEventListener('abort', () => fail(signal.reason as Error))),
    );
    const end = watchEnd(fetches.get(wanted(1)));
    await settle();
    closing.abort();
    await settle();
    expect([end(), events]).toEqual(['attachment-unavailable', []]);
    expect(await codeOf(fetches.get(wanted(2)))).toBe('attachment-unavailable');
    await fetches.stop();
  });

  it('those who ask for the same at once are given one fetch', async () => {
    const { fetches, asked } = bench(['one'], async () => bytesOf(1));
    const all = await Promise.all(Array.from({ length: 10 }, () => fetches.get(wanted(1))));
    expect(all.every((bytes) => bytes === all[0])).toBe(true);
    expect(asked).toEqual(['one']);
  });
});
