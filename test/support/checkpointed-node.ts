import { systemEnv } from '../../daemon/system-env.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import { startNode, type TestNode } from './in-process-node.ts';

/** Longer than a checkpoint lags. */
const AGO_MS = 8 * 24 * 60 * 60_000;

/** A node that wrote listings eight days ago, one today, and has made a checkpoint of the older ones. */
export async function checkpointedNode(
  dir: string,
  identity: Identity,
  { listings, env = {} }: { readonly listings: number; readonly env?: Record<string, string> },
): Promise<TestNode> {
  let ago = AGO_MS;
  const node = await startNode(dir, { RATE_LIMIT: 'off', ...env }, identity, {
    env: { ...systemEnv, now: () => systemEnv.now() - ago },
  });
  for (let i = 0; i < listings; i++) await listed(node, `maize ${i}`);
  ago = 0;
  await listed(node, 'today');
  const made = await node.request('POST', '/checkpoints');
  const end = (await made.text()).trim().split('\n').at(-1) ?? '';
  if (!end.includes('"outcome":"made"')) throw new Error(`no checkpoint: ${end}`);
  return node;
}

async function listed(node: TestNode, title: string): Promise<void> {
  const body = { type: 'offer', title, description: 'x'.repeat(3000) };
  const answer = await node.request('POST', '/listings', body);
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
}
