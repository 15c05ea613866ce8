import { expect } from 'vitest';
import type { FindingId } from '../../../../daemon/doctor/findings.ts';
import { freePort } from '../../../support/daemon.ts';
import { mirrorEnv, startDynamo } from '../../../support/dynamo.ts';
import { type FaultyProxy, startFaultyProxy } from '../../../support/dynamo-proxy.ts';
import type { TestNode } from '../../../support/in-process-node.ts';
import { serve } from '../../../support/loopback-server.ts';
import { waitFor } from '../../../support/wait.ts';
import {
  afterwards,
  folder,
  MINUTE,
  node,
  online,
  planted,
  restarted,
  run,
  setting,
  someone,
} from './bench.ts';
import type { CasesOf } from './case.ts';

/** A DynamoDB of the case's own, and a way to it that can be away. */
async function dynamo(): Promise<{ env: Record<string, string>; proxy: FaultyProxy; url: string }> {
  const own = await startDynamo('dynalite');
  afterwards(() => own.stop());
  const proxy = await startFaultyProxy(own.url, () => 0.5);
  afterwards(() => proxy.close());
  return { env: mirrorEnv(proxy.url), proxy, url: own.url };
}
const until = (of: TestNode, ...states: string[]): Promise<boolean> =>
  waitFor(
    `the mirror to be ${states.join(' or ')}`,
    async () => states.includes((await of.context.mirror.status()).state),
    30_000,
  );
const INIT = { remedy: 'agrinet mirror init' };
const listing = (of: TestNode, id: string, more: object = {}): Promise<Response> =>
  of.request('PUT', `/listings/${id}`, { type: 'offer', title: id, ...more });

export const MIRROR: CasesOf<Extract<FindingId, `mirror-${string}`>> = {
  'mirror-tables-missing': planted(
    /the mirror is tables-missing/,
    async () => {
      const { env } = await dynamo();
      const of = await node(env);
      await until(of, 'tables-missing');
      return [await online(of), of];
    },
    async (finding, of) => {
      await run(of, finding);
      await until(of, 'running');
      return online(of);
    },
  ),
  'mirror-held': [
    planted(
      /the mirror is refused: .*12D3KooW/,
      async () => {
        const { env } = await dynamo();
        const holder = await node(env);
        await run(holder, INIT);
        await until(holder, 'running');
        const of = await node(env);
        await until(of, 'refused');
        return [await online(of), { of, holder }];
      },
      async (finding, { of, holder }) => {
        await holder.stop();
        await run(of, finding);
        await until(of, 'running', 'filling');
        return online(of);
      },
    ),
    {
      name: 'and it takes a set of its own',
      ...planted(
        /the mirror is refused/,
        async () => {
          const { env } = await dynamo();
          const holder = await node(env);
          await run(holder, INIT);
          await until(holder, 'running');
          const of = await node(env);
          await until(of, 'refused');
          return [await online(of), of];
        },
        async (finding, of) => {
          const own = setting(
            { ...finding, remedy: finding.remedy.slice(finding.remedy.indexOf('MIRROR_PREFIX')) },
            'own-',
          );
          const again = await restarted(of, own);
          await until(again, 'tables-missing');
          return online(again);
        },
      ),
    },
  ],
  'mirror-denied': planted(
    /the mirror is denied/,
    async () => {
      const { url } = await dynamo();
      // One that knows a single access key, as AWS does.
      const gate = await serve((incoming, outgoing) => {
        if (!/Credential=known\//.test(incoming.headers.authorization ?? '')) {
          outgoing.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' });
          outgoing.end(
            '{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"invalid token"}',
          );
          return;
        }
        void (async () => {
          const chunks: Buffer[] = [];
          for await (const chunk of incoming) chunks.push(Buffer.from(chunk as Uint8Array));
          const { host: _, 'content-length': __, connection: ___, ...headers } = incoming.headers;
          const answer = await fetch(url, {
            method: 'POST',
            headers: headers as Record<string, string>,
            body: Buffer.concat(chunks),
          });
          outgoing.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
          outgoing.end(Buffer.from(await answer.arrayBuffer()));
        })();
      });
      afterwards(() => gate.close());
      const of = await node(mirrorEnv(gate.url));
      await until(of, 'denied');
      return [await online(of), of];
    },
    async (finding, of) => {
      const again = await restarted(of, setting(finding, 'known'));
      await until(again, 'tables-missing');
      return online(again);
    },
  ),
  'mirror-displaced': planted(
    /the mirror is displaced/,
    async () => {
      const { env } = await dynamo();
      const identity = someone();
      const of = await node(env, identity);
      await run(of, INIT);
      await until(of, 'running');
      const other = await node(env, identity, folder());
      await until(other, 'running', 'filling');
      await listing(of, 'one');
      await until(of, 'displaced');
      return [await online(of), { of, other }];
    },
    async ({ remedy }, { of, other }) => {
      expect(remedy).toBe('end the other process; then restart the daemon');
      await other.stop();
      const again = await restarted(of);
      await until(again, 'running', 'filling');
      return online(again);
    },
  ),
  'mirror-away': planted(
    /the mirror is away/,
    async () => {
      const { url } = await dynamo();
      const of = await node(mirrorEnv(`http://127.0.0.1:${await freePort()}`));
      await until(of, 'away');
      return [await online(of), { of, url }];
    },
    async (finding, { of, url }) => {
      const again = await restarted(of, setting(finding, url));
      await until(again, 'tables-missing');
      return online(again);
    },
  ),
  'mirror-behind': planted(
    /1 items are waiting for the mirror’s tables, the oldest for \d+ s/,
    async () => {
      const { env, proxy } = await dynamo();
      const of = await node(env);
      await run(of, INIT);
      await until(of, 'running');
      proxy.setAway(true);
      await listing(of, 'one');
      await until(of, 'away');
      return [await online(of, 10 * MINUTE), { of, proxy }];
    },
    async (finding, { of, proxy }) => {
      await run(of, finding);
      proxy.setAway(false);
      await waitFor('it to catch up', async () => (await of.context.mirror.status()).pending === 0, 30_000);
      return online(of, 10 * MINUTE);
    },
  ),
  'mirror-items-refused': planted(
    /the mirror’s tables rejected 1 item/,
    async () => {
      const { env } = await dynamo();
      const of = await node(env);
      await run(of, INIT);
      await listing(of, 'tiny', { price: 1e-200 });
      await waitFor('the refusal', async () => (await of.context.mirror.status()).refused === 1, 30_000);
      return [await online(of), of];
    },
    async ({ remedy }, of) => {
      await run(of, { remedy: remedy.replace(' lists them with the reason', '') });
      await listing(of, 'tiny', { price: 1 });
      await waitFor('the row', async () => (await of.context.mirror.status()).refused === 0, 30_000);
      return online(of);
    },
  ),
};
