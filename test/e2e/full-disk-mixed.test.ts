import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agrinet } from '../support/cli.ts';
import { checkFeeds } from '../support/feed-check.ts';
import { ProcessFederation, type ProcessMember, sameDigest } from '../support/federation.ts';
import { filesWith } from '../support/files-with.ts';
import { marketUser, type MarketUser } from '../support/market-users.ts';
import { type SmallDisk, smallDisk, smallDiskLacking } from '../support/small-disk.ts';
import { deal } from '../support/terms.ts';
import { waitFor } from '../support/wait.ts';

/*
 * A disk that runs full in the middle of writes of every kind: what was acknowledged is there, what was not is 507 and says why, and the node
 * goes on by itself when there is space again.
 */

const lacking = smallDiskLacking();
/** Settled trades to be rated, one a rating. */
const TRADES = 16;
/** Messages and listings to be erased, one an erasure. */
const ERASABLE = 120;

type Kind =
  | 'listing'
  | 'change'
  | 'contract'
  | 'message'
  | 'price'
  | 'erasure of a message'
  | 'erasure of a listing'
  | 'rating';

/** Something that was acknowledged; throws when it is not there. */
type Check = () => Promise<void>;

/** What a refusal says. */
function problemOf(text: string): string {
  const { code, error } = JSON.parse(text) as { code: string; error: string };
  return `${code}: ${error}`;
}
const FULL = /^507 disk-full: .*free some( space)?, and the node resumes/;
const REOPENING = /^503 storage-failed: the database is being reopened; try again shortly$/;
/** Asked for all the time. */
const READS = [
  '/listings?limit=50',
  '/contracts',
  '/messages',
  '/prices?limit=50',
  '/ratings',
  '/federation/export',
  '/federation/digest',
];

/** What the writers of a burst were told. */
class Told {
  readonly checks: Check[] = [];
  readonly acknowledged = new Map<Kind, number>();
  /** Until the disk had space again. */
  readonly refused = new Map<Kind, Set<string>>();
  /** From then on. */
  readonly later = new Set<string>();
  /** Reads that were not answered. */
  readonly unread = new Set<string>();

  count(kind: Kind): number {
    return this.acknowledged.get(kind) ?? 0;
  }
}

describe.skipIf(lacking !== undefined)(
  `a disk that runs full under writes of every kind${lacking === undefined ? '' : ` [skipped: ${lacking}]`}`,
  () => {
    const federation = new ProcessFederation();
    const env = { DISK_RESERVE_MB: '0' };
    const told = new Told();
    let disk: SmallDisk;
    let peer: ProcessMember;
    let node: ProcessMember;
    let amina: MarketUser;
    let ben: MarketUser;
    let conversation = '';
    const trades: string[] = [];
    const messages: string[] = [];
    const listings: string[] = [];
    let serial = 0;
    let hasSpace = true;
    const unique = (): string => `only-${++serial}-here`;

    async function settledTrade(): Promise<string> {
      const { contractId: id } = await amina.json<{ contractId: string }>('POST', '/contracts', {
        ...deal(1),
        buyerId: 'amina',
        supplierId: `ben@${peer.peerId}`,
      });
      const step = async (user: MarketUser, what: string, from: string): Promise<void> => {
        await waitFor(`${user.name} to see it ${from}`, async () => {
          const answer = await user.request('GET', `/contracts/${id}`);
          return answer.ok && ((await answer.json()) as { state?: string }).state === from;
        });
        await user.json('POST', `/contracts/${id}/${what}`, {});
      };
      await step(ben, 'accept', 'proposed');
      await step(amina, 'settle', 'accepted');
      await step(ben, 'settle', 'accepted');
      return id;
    }

    beforeAll(async () => {
      disk = smallDisk(96);
      peer = await federation.add();
      node = await federation.start(disk.path, env);
      await federation.registerAll();
      amina = await marketUser(node, 'amina');
      ben = await marketUser(peer, 'ben');
      const made = await amina.json<{ id: string }>('POST', '/conversations', {
        title: 'harvest',
        participants: [`ben@${peer.peerId}`],
      });
      conversation = encodeURIComponent(made.id);
      for (let i = 0; i < ERASABLE; i++) {
        const text = unique();
        const sent = await amina.json<{ message: { id: string } }>('POST', `/messages/${conversation}`, {
          content: text,
        });
        messages.push(`${sent.message.id} ${text}`);
        const title = unique();
        const { id } = await amina.json<{ id: string }>('POST', '/listings', { type: 'offer', title });
        listings.push(`${id} ${title}`);
      }
      trades.push(...(await Promise.all(Array.from({ length: TRADES }, settledTrade))));
      for (const id of trades)
        await waitFor('a trade to be settled', async () => {
          const { state } = await amina.json<{ state: string }>('GET', `/contracts/${id}`);
          return state === 'settled';
        });
    }, 120_000);
    afterAll(async () => {
      await federation.close();
      disk.remove();
    });

    /** One write; whether it was acknowledged. */
    async function write(
      kind: Kind,
      path: [string, string],
      body: unknown,
      check: (answer: never) => Check,
    ): Promise<boolean> {
      const [method, url] = path;
      const answer = await amina.request(method, url, body);
      const text = await answer.text();
      if (answer.ok) {
        told.acknowledged.set(kind, told.count(kind) + 1);
        told.checks.push(check((text === '' ? undefined : JSON.parse(text)) as never)); // as the schema of the route says
        return true;
      }
      const problem = `${answer.status} ${problemOf(text)}`;
      const refused = told.refused.get(kind) ?? new Set();
      if (hasSpace) told.later.add(problem);
      else told.refused.set(kind, refused.add(problem));
      await new Promise((resolve) => setTimeout(resolve, 20));
      return false;
    }
    const holds =
      (url: string, expected: object): Check =>
      async () =>
        expect(await amina.json('GET', url)).toMatchObject(expected);
    const isGone =
      (url: string, text: string): Check =>
      async () => {
        const answer = await amina.request('GET', url);
        expect([url, answer.ok ? (await answer.text()).includes(text) : false]).toEqual([url, false]);
        expect([text, filesWith(disk.path, text)]).toEqual([text, []]);
      };

    const WRITERS: Readonly<Record<Kind, () => Promise<boolean>>> = {
      listing: () => {
        const title = unique();
        return write(
          'listing',
          ['POST', '/listings'],
          { type: 'offer', title, notes: 'x'.repeat(2000) },
          ({ id }: { id: string }) => holds(`/listings/${id}`, { title }),
        );
      },
      change: () => {
        const notes = unique();
        return write(
          'change',
          ['PUT', `/listings/changed${++serial % 5}`],
          { type: 'offer', title: 'x', notes },
          ({ id }: { id: string }) =>
            holds(`/listings/${id}`, { title: 'x', notes: expect.stringMatching(/^only-/) }),
        );
      },
      contract: () => {
        const title = unique();
        const body = { ...deal(1), title, buyerId: 'amina', supplierId: `ben@${peer.peerId}` };
        return write('contract', ['POST', '/contracts'], body, ({ contractId }: { contractId: string }) =>
          holds(`/contracts/${contractId}`, { title, state: 'proposed' }),
        );
      },
      message: () => {
        const content = unique();
        return write(
          'message',
          ['POST', `/messages/${conversation}`],
          { content },
          ({ message }: { message: { id: string } }) =>
            async () => {
              const said = await amina.json<{ id: string; content: string }[]>(
                'GET',
                `/messages/${conversation}?limit=500`,
              );
              const all = said.length < 500 || said.some(({ id }) => id === message.id);
              expect([content, all]).toEqual([content, true]);
            },
        );
      },
      price: () => {
        const market = unique();
        return write('price', ['POST', '/prices'], { ...PRICE, market }, () => async () => {
          const { prices } = await amina.json<{ prices: unknown[] }>('GET', `/prices?market=${market}`);
          expect([market, prices.length]).toEqual([market, 1]);
        });
      },
      'erasure of a message': async () => {
        const [id = '', text = ''] = messages.pop()?.split(' ') ?? [];
        if (id === '') return true;
        const url = `/messages/${conversation}/${id}`;
        const done = await write('erasure of a message', ['DELETE', url], undefined, () => isGone(url, text));
        if (!done) messages.push(`${id} ${text}`);
        return done;
      },
      'erasure of a listing': async () => {
        const [id = '', text = ''] = listings.pop()?.split(' ') ?? [];
        if (id === '') return true;
        const done = await write(
          'erasure of a listing',
          ['DELETE', `/listings/${id}?erase=true`],
          undefined,
          () => isGone(`/listings/${id}`, text),
        );
        if (!done) listings.push(`${id} ${text}`);
        return done;
      },
      rating: async () => {
        const contractId = trades.pop();
        if (contractId === undefined) return true;
        const body = { contractId, score: 3, comment: unique() };
        const done = await write('rating', ['POST', '/submitRating'], body, () => async () => {
          const { ratings } = await amina.json<{ ratings: { contractId: string; comment?: string }[] }>(
            'GET',
            '/ratings?limit=500',
          );
          expect(ratings.filter((each) => each.contractId === contractId)).toHaveLength(1);
        });
        if (!done) trades.push(contractId);
        return done;
      },
    };
    const kinds = Object.keys(WRITERS) as Kind[];
    /** Those that never run out of what they are about, and those that have some left. */
    const isScarce = (kind: Kind): boolean => kind.startsWith('erasure') || kind === 'rating';

    it.each([0, 300_000])(
      'loses nothing that it acknowledged, says 507 and why, and goes on by itself (%i bytes left)',
      async (leave) => {
        const burst = new AbortController();
        told.refused.clear();
        hasSpace = false;
        let filled = false;
        const writers = kinds.flatMap((kind) =>
          Array.from({ length: isScarce(kind) ? 1 : 6 }, async () => {
            while (!burst.signal.aborted) {
              // So that there is something left for when the disk is full.
              if (isScarce(kind)) await new Promise((resolve) => setTimeout(resolve, filled ? 20 : 150));
              await WRITERS[kind]();
            }
          }),
        );
        const readers = READS.map(async (path) => {
          while (!burst.signal.aborted) {
            const answer = await amina.request(
              'GET',
              path === '/messages' ? `/messages/${conversation}` : path,
            );
            // A stream is broken off in the middle: what came of it is no whole answer.
            const text = await answer.text().catch(() => undefined);
            if (!answer.ok && text !== undefined) told.unread.add(`${answer.status} ${problemOf(text)}`);
          }
        });
        const before = new Map(kinds.map((kind) => [kind, told.count(kind)]));
        await waitFor(
          'one of each',
          () => kinds.every((kind) => told.count(kind) > (before.get(kind) ?? 0)),
          20_000,
        );
        disk.fill(leave);
        filled = true;
        await waitFor(
          'each to be refused',
          () => kinds.every((kind) => (told.refused.get(kind)?.size ?? 0) > 0),
          30_000,
        );
        expect((await amina.request('GET', '/health')).status).toBe(200);
        expect((await amina.request('GET', '/listings?limit=5')).status).toBe(200);
        hasSpace = true;
        disk.free();
        const full = new Map(kinds.map((kind) => [kind, told.count(kind)]));
        await waitFor(
          'writing to go on',
          async () => (await node.request('GET', '/ready')).status === 200,
          30_000,
        );
        await waitFor(
          'each again',
          () => kinds.every((kind) => told.count(kind) > (full.get(kind) ?? 0)),
          30_000,
        );
        burst.abort();
        await Promise.all([...writers, ...readers]);
        for (const [kind, texts] of told.refused)
          for (const text of texts) expect([kind, text]).toEqual([kind, expect.stringMatching(FULL)]);
        // Then it is opened again; until that is done it says so.
        for (const text of told.later) expect(text).toMatch(new RegExp(`${FULL.source}|${REOPENING.source}`));
        for (const text of told.unread) expect(text).toMatch(REOPENING);
        for (const check of told.checks) await check();
        await sameDigest([peer, node], 20_000);
        await checkFeeds(peer, node.peerId);
        expect(node.child.exitCode).toBeNull();
      },
      120_000,
    );

    it('is clean afterwards', async () => {
      expect(await node.stop('SIGTERM')).toBe(0);
      const fsck = await agrinet(undefined, ['fsck'], { DATA_DIR: disk.path });
      expect([fsck.code, fsck.stderr]).toEqual([0, '']);
      node = await federation.start(disk.path, env);
      amina = await marketUser(node, 'amina');
      for (const check of told.checks) await check();
    }, 120_000);
  },
);

const PRICE = {
  date: '2026-01-01',
  commodity: 'Maize',
  unit: 'KG',
  priceType: 'Retail',
  currency: 'KES',
  price: 1,
};
