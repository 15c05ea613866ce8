import { randomBytes } from 'node:crypto';
import { afterEach, expect, it } from 'vitest';
import { authorQuota } from '../../../daemon/quotas.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { type RegistrationNode, registrationNode } from '../../support/registration-node.ts';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

const EVERYBODY = { authorQuotaMb: 512, authorQuotaPending: 50_000 };
const MIB = 1024 * 1024;
const { peerId } = identityFromSeed(new Uint8Array(randomBytes(32)));

async function register({ registry }: RegistrationNode): Promise<void> {
  const about = { nodeUrl: '', region: 'x', name: '', multiaddrs: [], schemaVersion: 1, tlsFingerprint: '' };
  await registry.register({ caller: peerId, ...about }, undefined, 1);
}

it('the quota of one node: set, kept over a restart and a new registration, and taken back', async () => {
  let node = await registrationNode();
  open.push({ close: () => node.close() });
  await register(node);
  const bytesOf = (): number => authorQuota(EVERYBODY, node.registry)(peerId).bytes;
  const set = (body: unknown, key?: string): Promise<Response> =>
    node.request('POST', `/federation/nodes/${peerId}/quota`, body, key);
  expect(bytesOf()).toBe(512 * MIB);
  expect(await (await set({ quotaMb: 3 })).json()).toEqual({
    nodeId: peerId,
    quotaMb: 3,
    own: true,
    bytes: 3 * MIB,
    pendingOps: 2,
  });
  expect(bytesOf()).toBe(3 * MIB);
  node = await node.restart();
  await register(node);
  expect(bytesOf()).toBe(3 * MIB);
  await set({ quotaMb: 0 });
  expect(bytesOf()).toBe(Infinity);
  expect(await (await set({ quotaMb: null })).json()).toMatchObject({ quotaMb: 512, own: false });
  expect(bytesOf()).toBe(512 * MIB);

  for (const body of [{ quotaMb: -1 }, { quotaMb: 1.5 }, { quotaMb: 1_000_001 }, { quotaMb: '3' }, {}])
    expect([body, (await set(body)).status]).toEqual([body, 400]);
  expect((await set({ quotaMb: 3 }, '')).status).toBe(403);
  const stranger = identityFromSeed(new Uint8Array(randomBytes(32))).peerId;
  expect((await node.request('POST', `/federation/nodes/${stranger}/quota`, { quotaMb: 3 })).status).toBe(
    404,
  );
});

it('what a node takes up is told to the operator alone', async () => {
  const node = await registrationNode();
  open.push(node);
  await register(node);
  const shown = async (key?: string): Promise<unknown> =>
    ((await (await node.request('GET', '/federation/nodes', undefined, key)).json()) as { nodes: unknown[] })
      .nodes[0];
  expect(await shown()).toMatchObject({ quota: { quotaMb: 512, own: false, pendingOps: 2 } });
  expect(await shown('')).not.toHaveProperty('quota');
});
