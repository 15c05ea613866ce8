import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { FindingId } from '../../../../daemon/doctor/findings.ts';
import { rebuild } from '../../../../daemon/maintenance.ts';
import { type RecordKey, recordKey } from '../../../../protocols/wire/ids.ts';
import type { Identity } from '../../../../protocols/wire/identity.ts';
import { systemEnv } from '../../../../daemon/system-env.ts';
import { range } from '../../../../storage/keyspace.ts';
import { freePort } from '../../../support/daemon.ts';
import { Hand, listingOps } from '../../../support/forge.ts';
import { befriend, registerHere, type TestNode } from '../../../support/in-process-node.ts';
import { redisLacking, startRedis } from '../../../support/redis.ts';
import { waitFor } from '../../../support/wait.ts';
import {
  afterwards,
  author,
  epoch,
  folder,
  GOOD_KEY,
  MINUTE,
  node,
  online,
  planted,
  restarted,
  run,
  someone,
} from './bench.ts';
import type { CasesOf, FindingCase } from './case.ts';

/** An edit that follows one which is not brought along; another node has both. */
function waiting(message: RegExp, time: () => number): FindingCase {
  return planted(
    message,
    async () => {
      const [of, elsewhere] = [await node(), await node()];
      const hand = new Hand(await author(of), epoch());
      const other = new Hand(hand.identity, epoch());
      await registerHere(elsewhere, hand.identity.peerId);
      const first = hand.next(listingOps(hand.pen, 'maize', undefined, { title: 'one' }));
      await elsewhere.node.ledger.receive([first.bytes]);
      const [known] = await elsewhere.node.store.records([
        recordKey('listings', hand.identity.peerId, 'maize'),
      ]);
      const second = other.sign(listingOps(other.pen, 'maize', known, { title: 'two' }), {
        time: [time(), 0],
      });
      await of.node.ledger.receive([second.bytes]);
      return [await online(of), { of, elsewhere }];
    },
    async (finding, { of, elsewhere }) => {
      await run(of, finding);
      await befriend(of, elsewhere); // what `agrinet join` does for both
      await waitFor(
        'what it waits for',
        async () => (await online(of)).every(({ check }) => check !== 'quarantine'),
        30_000,
      );
      return online(of);
    },
  );
}

/** Two epochs of one author, each with a title of its own. */
async function twoTitles(of: TestNode, identity: Identity): Promise<void> {
  for (const title of ['White maize', 'Yellow maize']) {
    const hand = new Hand(identity, epoch());
    await of.node.ledger.receive([hand.next(listingOps(hand.pen, 'maize', undefined, { title })).bytes]);
  }
  // A commit waits a second at most for the values: on a busy machine they come after it.
  await waitFor(
    'the merge',
    async () => (await of.context.reader.conflicts(1, async (state) => state)).length > 0,
  );
}

async function syncJob(of: TestNode): Promise<string> {
  const { peerId } = someone();
  await registerHere(of, peerId, { nodeUrl: `http://127.0.0.1:${await freePort()}` });
  return (await of.context.jobs.enqueueSync(peerId)).id;
}

/** A source that asks for a key, tried without one. */
function wantingKey(message: RegExp): FindingCase {
  return planted(
    message,
    async () => {
      const old = createServer((request, response) => {
        const known = request.headers['x-api-key'] === GOOD_KEY;
        response.writeHead(known ? 200 : 401, { 'content-type': 'application/json' });
        response.end(
          known ? '{"listings":[],"contracts":[],"transactions":[],"users":[]}' : '{"error":"no key"}',
        );
      }).listen(0, '127.0.0.1');
      afterwards(() => void old.close());
      await waitFor('the old back end', () => old.listening);
      const of = await node();
      const url = `http://127.0.0.1:${(old.address() as AddressInfo).port}`;
      await run(of, { remedy: `agrinet nodes add ${url}` });
      await run(of, { remedy: 'agrinet sync' });
      const found = await waitFor('the refusal', async () => {
        const all = await online(of, 2 * MINUTE);
        return all.some(({ id }) => id === 'job-wants-key') && all;
      });
      return [found, of];
    },
    async ({ id, remedy }, of) => {
      const file = join(folder(), 'key');
      writeFileSync(file, `${GOOD_KEY}\n`, { mode: 0o600 });
      const [add = '', then = ''] = remedy.split('; then ');
      await run(of, { remedy: add }, { '<file with the key>': file });
      // Once more than once a minute a sync of all does nothing; what has just failed is tried by itself.
      if (then === 'agrinet sync') {
        const [job] = (await of.context.jobs.list({ state: 'dead', limit: 1 })).jobs;
        await of.context.jobs.retry(job?.id ?? '');
      } else await run(of, { remedy: then });
      await waitFor('the sync', async () => (await online(of)).every((each) => each.id !== id));
      return online(of, 2 * MINUTE);
    },
  );
}

async function deleteRecords({ node: { db } }: TestNode): Promise<void> {
  for await (const key of db.level.keys(range('records', 'listings/'))) await db.level.del(key);
}
const scrubbed = async (of: TestNode): Promise<unknown> => (await of.request('POST', '/scrub')).text();

export const WORK: CasesOf<
  | Extract<FindingId, `ops-pending${string}` | `conflicts-${string}` | `job${string}`>
  | 'ops-rejected'
  | 'source-wants-key'
  | 'redis-away'
  | 'rows-repaired'
  | 'entries-damaged'
> = {
  'ops-pending': waiting(/1 op is pending/, Date.now),
  'ops-pending-long': waiting(/1 op is pending .* the oldest from 20\d\d-/, () => Date.now() - 120 * MINUTE),
  'ops-rejected': planted(
    /1 op is rejected/,
    async () => {
      const of = await node();
      const hand = new Hand(await author(of), epoch());
      const foreign = listingOps({ ...hand.pen, author: of.node.identity.peerId }, 'maize', undefined, {
        title: 'Mine',
      });
      await of.node.ledger.receive([hand.next(foreign).bytes]);
      return [await online(of), of];
    },
    async (_, of) => online(of),
  ),
  'conflicts-open': planted(
    /1 record has fields that two writers changed at the same time/,
    async () => {
      const identity = someone();
      const of = await node({}, identity);
      await twoTitles(of, identity);
      return [await online(of), of];
    },
    async (finding, of) => {
      await run(of, finding);
      const listed = await of.request('GET', '/conflicts');
      const { conflicts } = (await listed.json()) as {
        conflicts: { id: string; field: string; winner: unknown }[];
      };
      for (const { id, field, winner } of conflicts)
        expect((await of.request('POST', `/conflicts/${id}/resolve`, { field, value: winner })).status).toBe(
          200,
        );
      return online(of);
    },
  ),
  'conflicts-elsewhere': planted(
    /1 record has fields that two writers changed at the same time.*; only their writers can/,
    async () => {
      const of = await node();
      const identity = await author(of);
      await twoTitles(of, identity);
      return [await online(of), { of, identity }];
    },
    async ({ remedy }, { of, identity }) => {
      expect(remedy).toBe('agrinet conflicts, on the node of one of the writers');
      const key: RecordKey = recordKey('listings', identity.peerId, 'maize');
      const [known] = await of.node.store.records([key]);
      const hand = new Hand(identity, epoch());
      await of.node.ledger.receive([
        hand.next(listingOps(hand.pen, 'maize', known, { type: 'offer', status: 'active', title: 'Maize' }))
          .bytes,
      ]);
      return online(of);
    },
  ),
  'job-dead': planted(
    /1 job is dead; the newest: nobody answers/,
    async () => {
      const of = await node({ REDIS_URL: `redis://127.0.0.1:${await freePort()}` });
      const id = await syncJob(of);
      const { attempt } = await of.context.jobs.attempts.claim(id);
      await of.context.jobs.attempts.fail(id, attempt, {
        code: 'peer-unreachable',
        message: 'nobody answers',
        final: true,
      });
      return [await online(of), of];
    },
    async (finding, of) => {
      await run(of, finding);
      return online(of);
    },
  ),
  'source-wants-key': wantingKey(/cannot be reached \(.*key/),
  'job-wants-key': wantingKey(/1 job is dead; the newest: .*key/),
  'jobs-behind': planted(
    /1 jobs are waiting .*, the oldest since/,
    async () => {
      const of = await node({ REDIS_URL: `redis://127.0.0.1:${await freePort()}` });
      const id = await syncJob(of);
      return [await online(of, 20 * MINUTE), { of, id }];
    },
    async ({ remedy }, { of, id }) => {
      expect(remedy).toMatch(/^agrinet worker/);
      // What a worker does over HTTP.
      const { attempt } = await of.context.jobs.attempts.claim(id);
      await of.context.jobs.attempts.complete(id, attempt, {});
      return online(of, 20 * MINUTE);
    },
  ),
  'redis-away': {
    lacking: redisLacking(),
    ...planted(
      /Redis is away since/,
      async () => {
        const redis = await startRedis();
        afterwards(() => redis.remove());
        const of = await node({ REDIS_URL: redis.url });
        await redis.kill();
        await waitFor('Redis to be missed', () => !of.context.jobs.health().ok, 20_000);
        return [await online(of), { of, redis }];
      },
      async ({ remedy }, { of, redis }) => {
        expect(remedy).toBe('systemctl start redis-server');
        await redis.restart();
        await waitFor('it to be found again', () => of.context.jobs.health().ok, 30_000);
        return online(of);
      },
    ),
  },
  'rows-repaired': planted(
    /stored rows did not match the feeds: 1 in records.* in the scrub started at .*; all were rebuilt/,
    async () => {
      const of = await node();
      const created = await of.request('POST', '/listings', { type: 'offer', title: 'lost' });
      const { listingId } = (await created.json()) as { listingId: string };
      await deleteRecords(of);
      expect((await of.request('GET', `/listings/${listingId}`)).status).toBe(404);
      await scrubbed(of);
      expect((await of.request('GET', `/listings/${listingId}`)).status).toBe(200);
      return [await online(of), of];
    },
    async (finding, of) => {
      await run(of, finding);
      return online(of);
    },
  ),
  'entries-damaged': planted(
    /\d+ could not be rebuilt, because entries cannot be read/,
    async () => {
      const of = await node();
      await of.request('POST', '/listings', { type: 'offer', title: 'lost' });
      await deleteRecords(of);
      const { level } = of.node.db;
      for await (const [key, value] of level.iterator(range('entries')))
        await level.put(
          key,
          Uint8Array.from(value, (byte, i) => (i === 40 ? byte ^ 1 : byte)),
        );
      await scrubbed(of);
      return [await online(of), of];
    },
    async ({ remedy }, of) => {
      expect(remedy).toBe('agrinet rebuild (while the daemon is stopped)');
      await of.stop();
      await rebuild(of.node.settings, systemEnv, () => undefined); // all that the command does
      const again = await restarted(of);
      await scrubbed(again);
      return online(again);
    },
  ),
};
