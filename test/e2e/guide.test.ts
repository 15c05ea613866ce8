import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Daemon, startDaemonHere } from '../support/daemon.ts';
import { tempDir } from '../support/temp-dir.ts';

/**
 * The command lines of the federation guide and the request of the Agrinet status CLI, as printed there, run by a shell against
 * a real node; only the host names of the examples are this node's.
 */
const SECRET = 'a-secret-of-a-test-only-0123456789';
const dir = tempDir('guide');
let node: Daemon;
beforeAll(async () => {
  node = await startDaemonHere(dir.path, { JWT_SECRET: SECRET, REGION: 'Lake Zone' });
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

const sh = async (line: string, env: Record<string, string> = {}): Promise<string> =>
  (
    await promisify(execFile)('sh', ['-c', line], {
      env: { PATH: process.env['PATH'] ?? '', BACKEND_URL: node.url, ...env },
      timeout: 20_000,
    })
  ).stdout;

/** An HS256 token as the old back end makes them. */
function token(claims: Record<string, unknown>): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ ...claims, exp: Math.floor(Date.now() / 1000) + 60 })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

describe('the federation guide', () => {
  it('cron: curl -s "$BACKEND_URL/federation/sync"', async () => {
    expect(JSON.parse(await sh('curl -s "$BACKEND_URL/federation/sync"'))).toMatchObject({
      status: 'queued',
    });
    expect(JSON.parse(await sh('curl -s "$BACKEND_URL/federation/sync"'))).toMatchObject({
      status: 'queued',
      coalesced: true,
    });
  });

  it('trends: curl -H "Authorization: Bearer <token>" …/trends?region=global', async () => {
    const bearer = token({ id: 'user-1', role: 'user' });
    const answer: unknown = JSON.parse(
      await sh('curl -s -H "Authorization: Bearer $TOKEN" $BACKEND_URL/trends?region=global', {
        TOKEN: bearer,
      }),
    );
    expect(answer).toMatchObject({ topSignals: [], generatedBy: 'aiTrendHelper' });
    const refused: unknown = JSON.parse(
      await sh('curl -s -H "Authorization: Bearer $TOKEN" $BACKEND_URL/trends?region=global', {
        TOKEN: `${bearer.slice(0, -4)}AAAA`,
      }),
    );
    expect(refused).toMatchObject({ error: 'Unauthorized: Invalid Token' });
  });

  it('registration: the key and three fields make a pending node, no key makes none', async () => {
    const body = `'{ "nodeUrl": "https://node.example.org", "region": "West Africa", "contactEmail": "ops@node.org" }'`;
    const line = `curl -s -X POST $BACKEND_URL/federation/node/register -H "Content-Type: application/json"`;
    expect(JSON.parse(await sh(`${line} -d ${body}`))).toMatchObject({ code: 'unauthorized' });
    expect(
      JSON.parse(await sh(`${line} -H "x-api-key: $KEY" -d ${body}`, { KEY: node.apiKey })),
    ).toMatchObject({
      status: 'pending',
      region: 'West Africa',
    });
    const nodes: unknown = JSON.parse(await sh('curl -s $BACKEND_URL/federation/nodes'));
    expect(nodes).toMatchObject({
      nodes: [{ url: 'https://node.example.org', status: 'pending', region: 'West Africa' }],
    });
    expect(JSON.stringify(nodes)).not.toContain('ops@node.org');
  });

  it('export and pull: the catalogue as one body; a pull only from a registered node', async () => {
    expect(JSON.parse(await sh('curl -s $BACKEND_URL/federation/export'))).toMatchObject({
      listings: [],
      contracts: [],
      transactions: [],
      users: [],
    });
    const pull = `curl -s -X POST $BACKEND_URL/federation/pull -H "x-api-key: $KEY" -H "Content-Type: application/json" -d '{ "sourceUrl": "https://peer.example.net" }'`;
    expect(JSON.parse(await sh(pull, { KEY: node.apiKey }))).toMatchObject({ code: 'source-unknown' });
  });

  it('the status CLI: GET /federation/status without a key', async () => {
    const { federationHealth } = JSON.parse(await sh('curl -s $BACKEND_URL/federation/status')) as {
      federationHealth: unknown[];
    };
    expect(federationHealth).toEqual([
      expect.objectContaining({
        node: 'https://node.example.org',
        status: 'OFFLINE',
        listings: 0,
        transactions: 0,
        users: 0,
        lastSync: null,
      }),
    ]);
  });
});
