import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { SyncTarget } from '../../../api/ports/sync-target.ts';
import { HttpTarget } from '../../../daemon/federation/http-target.ts';
import { pullFeeds } from '../../../daemon/federation/https-pull.ts';
import { PULL_LIMITS } from '../../../daemon/federation/https-transport.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { AgrinetError } from '../../../protocols/errors.ts';
import type { FeedName } from '../../../protocols/ledger/types.ts';
import { CATCH_UP_LIMITS } from '../../../protocols/mycelium/catch-up.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { type ExchangeNode, startExchangeNode } from '../../support/exchange-node.ts';
import { watchEnd } from '../../support/hand-clock.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { waitFor } from '../../support/wait.ts';
import { SourceBench } from '../limits/boundaries/source-bench.ts';
import { NO_DIGEST } from '../limits/boundaries/wire-cases.ts';

let here: ExchangeNode;
let there: ExchangeNode;

beforeAll(async () => {
  [here, there] = [await startExchangeNode(), await startExchangeNode()];
  here.befriend(there);
  there.befriend(here);
});
beforeEach(() => {
  here.outcomes.length = 0;
});
afterAll(async () => {
  for (const node of [here, there]) await node.stop();
});

/** The node itself, with some of it replaced. */
function targetWith(part: Partial<SyncTarget>): SyncTarget {
  const { target } = here.exchange;
  return {
    source: (id) => target.source(id),
    plan: (id, pages) => target.plan(id, pages),
    rangeRequest: (id, feed, from) => target.rangeRequest(id, feed, from),
    receive: (id, feed, items) => target.receive(id, feed, items),
    importLegacy: (id, body, options) => target.importLegacy(id, body, options),
    renewCertificate: (id) => target.renewCertificate(id),
    noteSync: (id, outcome) => target.noteSync(id, outcome),
    ...part,
  };
}

it('what fails before the source is asked is not noted as its failure', async () => {
  const source = there.identity.peerId;
  const { target } = here.exchange;
  /** The daemon does not answer, but would hear what is noted. */
  const unreachable = new HttpTarget('http://127.0.0.1:9', 'a-key', systemEnv);
  for (const [part, code] of [
    [{ source: (id) => unreachable.source(id) }, 'daemon-unreachable'],
    [{ source: () => Promise.reject(new AgrinetError('value-damaged', 'its row')) }, 'value-damaged'],
    [{ source: () => Promise.resolve(undefined) }, 'source-unknown'],
    [{ plan: () => Promise.reject(new AgrinetError('source-unknown', 'suspended')) }, 'source-unknown'],
  ] satisfies [Partial<SyncTarget>, string][]) {
    await expect(here.sync(source, { target: targetWith(part) })).rejects.toMatchObject({ code });
    expect(here.outcomes, code).toEqual([]);
  }
  expect(await here.table.get(source)).toBeUndefined();
  await expect(
    here.sync(source, {
      target: targetWith({
        source: () => Promise.reject(new AgrinetError('peer-distrusted', 'is left alone')),
        noteSync: (id, outcome) => target.noteSync(id, outcome),
      }),
    }),
  ).rejects.toMatchObject({ code: 'peer-distrusted' });
  expect(here.outcomes).toMatchObject([{ id: source, outcome: { error: { code: 'peer-distrusted' } } }]);
});

it('what fails once it was asked is noted', async () => {
  const source = there.identity.peerId;
  const target = targetWith({ plan: () => Promise.reject(new Error('a fault here')) });
  await expect(here.sync(source, { target })).rejects.toThrow('a fault here');
  expect(here.outcomes).toMatchObject([
    { id: source, outcome: { error: { code: 'internal', message: 'internal error; see the log' } } },
  ]);
});

it('25 feeds that the source refuses do not keep the one behind them from coming', async () => {
  const source = there.identity.peerId;
  await there.ledgerNode.catalogue.createListing({ type: 'offer', title: 'Beans' });
  const refused = Array.from({ length: 25 }, (_, n): FeedName => {
    const author = identityFromSeed(new Uint8Array(32).fill(n + 1)).peerId;
    return { author, channel: recordKey('contracts', author, 'private') };
  });
  const mark = there.served.length;
  const target = targetWith({
    plan: async (id, pages) => [...refused, ...(await here.exchange.target.plan(id, pages))],
  });
  await expect(here.sync(source, { target })).rejects.toMatchObject({ code: 'peer-refused' });
  const asked = there.served.slice(mark).filter(({ path }) => path.startsWith('/federation/feeds/'));
  expect(asked.map(({ status }) => status).toSorted()).toEqual([200, ...refused.map(() => 403)]);
  expect(here.digest()).toBe(there.digest());
});

it('a source that falls silent is not asked for all of its feeds', async () => {
  const count = 30;
  const work = async (bench: SourceBench): Promise<void> => {
    const { parts } = bench;
    const { peerId: author } = nodeOf(1);
    const plan: SyncTarget['plan'] = async (_, pages) => {
      for await (const _page of pages);
      return Array.from({ length: count }, (_unused, n) => ({
        author,
        channel: recordKey('contracts', author, String(n)),
      }));
    };
    const end = watchEnd(
      pullFeeds({ ...parts, target: { ...parts.target, plan } }, bench.source, false, bench.run),
    );
    const rounds = Math.floor(PULL_LIMITS.uselessMs / PULL_LIMITS.idleMs) + 1;
    for (let round = 1; round <= rounds; round++) {
      await waitFor('the ranges', () => bench.asked === 1 + round * CATCH_UP_LIMITS.pullsPerPeer);
      expect(end()).toBe('goes on');
      await bench.clock.pass(PULL_LIMITS.idleMs);
    }
    await waitFor('the end', () => end() === 'peer-timeout');
    expect(bench.asked).toBe(1 + rounds * CATCH_UP_LIMITS.pullsPerPeer);
    expect(bench.asked).toBeLessThan(1 + count);
  };
  await SourceBench.with((response, { url }) => {
    if (url === '/federation/feeds') response.end(NO_DIGEST);
  }, work);
});
