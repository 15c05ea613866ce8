import { readFileSync, statSync, chmodSync, readdirSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSourceKeys, sourceKeysPath } from '../../../daemon/federation/source-keys.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { serve } from '../../support/loopback-server.ts';
import { registrationNode } from '../../support/registration-node.ts';

let dir: ReturnType<typeof tempDir>;
beforeEach(() => {
  dir = tempDir('source-keys');
});
afterEach(() => dir.remove());
const ONE = 'legacy:https://old.example.org';

describe('the keys of sources', () => {
  it('are kept over a restart in one file that nobody else reads, replaced and removed', async () => {
    const keys = await openSourceKeys(dir.path);
    await Promise.all([
      keys.set(ONE, 'first'),
      keys.set('legacy:http://two', 'second'),
      keys.set(ONE, 'third'),
    ]);
    expect(statSync(sourceKeysPath(dir.path)).mode & 0o777).toBe(0o600);
    const again = await openSourceKeys(dir.path);
    expect([again.get(ONE), again.get('legacy:http://two'), again.get('legacy:http://three')]).toEqual([
      'third',
      'second',
      undefined,
    ]);
    await again.remove(ONE);
    expect((await openSourceKeys(dir.path)).get(ONE)).toBeUndefined();
    expect(readFileSync(sourceKeysPath(dir.path), 'utf8')).not.toContain('third');
    expect(readdirSync(dir.path)).toEqual(['source-keys']);
  });

  it('are refused when they could not stand in a header, and when they are too many', async () => {
    const keys = await openSourceKeys(dir.path);
    for (const bad of ['', 'a b', 'a\nb', 'é', 'x'.repeat(513)])
      await expect(keys.set(ONE, bad)).rejects.toMatchObject({ code: 'fields-invalid' });
    const many = Promise.all(
      Array.from({ length: 80 }, async (_, i) => keys.set(`legacy:http://${i}`, 'x'.repeat(512))),
    );
    await expect(many).rejects.toMatchObject({ code: 'keys-full' });
    // What was refused took nothing along.
    expect(keys.get('legacy:http://0')).toBe('x'.repeat(512));
    expect((await openSourceKeys(dir.path)).get('legacy:http://0')).toBe('x'.repeat(512));
  });

  it('are not read from a file that others can read, or that is damaged; no message says one', async () => {
    const keys = await openSourceKeys(dir.path);
    await keys.set(ONE, 'a-secret-of-old');
    chmodSync(sourceKeysPath(dir.path), 0o644);
    await expect(openSourceKeys(dir.path)).rejects.toMatchObject({ code: 'source-keys-invalid' });
    chmodSync(sourceKeysPath(dir.path), 0o600);
    for (const text of [
      '{"legacy:http://x": "a-secret-of-old"',
      '[]',
      '{"legacy:http://x": {"a-secret-of-old": 1}}',
    ]) {
      writeFileSync(sourceKeysPath(dir.path), text);
      const failure: unknown = await openSourceKeys(dir.path).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'source-keys-invalid' });
      expect(String(failure)).not.toContain('a-secret');
    }
  });
});

describe('POST /federation/nodes with a key', () => {
  it('keeps it for that source, shows it nowhere, and forgets it with the registration', async () => {
    const old = await serve((_, outgoing) =>
      outgoing.writeHead(403).end('{"error":"Unauthorized: Invalid API Key"}'),
    );
    const node = await registrationNode({}, dir);
    try {
      const id = `legacy:${old.url}`;
      const kept = async (): Promise<string | undefined> => (await openSourceKeys(dir.path)).get(id);
      const add = async (key?: string | null): Promise<Response> =>
        node.request('POST', '/federation/nodes', { url: old.url, ...(key === undefined ? {} : { key }) });
      const answer = await add('a-key-of-old');
      expect(answer.status).toBe(200);
      expect(await kept()).toBe('a-key-of-old');
      const shown = [await answer.text()];
      for (const path of ['/federation/nodes', `/federation/nodes/${encodeURIComponent(id)}`])
        shown.push(await (await node.request('GET', path)).text());
      expect(shown.join()).toContain(old.url);
      expect(shown.join()).not.toContain('a-key-of-old');

      expect((await add()).status).toBe(200);
      expect(await kept(), 'without a word about it, it stays').toBe('a-key-of-old');
      expect((await add('another')).status).toBe(200);
      expect(await kept()).toBe('another');
      expect((await add('not a key')).status).toBe(400);
      expect((await add(null)).status).toBe(200);
      expect(await kept()).toBeUndefined();
      await add('once-more');
      await node.request('POST', `/federation/nodes/${encodeURIComponent(id)}/revoke`);
      expect(await kept()).toBeUndefined();
    } finally {
      await node.close();
      await old.close();
    }
  });

  it('adds a back end that compresses whatever it is asked for', async () => {
    const old = await serve((_, outgoing) =>
      outgoing.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{"listings":[]}')),
    );
    const node = await registrationNode({}, dir);
    try {
      const added = await node.request('POST', '/federation/nodes', { url: old.url, key: 'a-key' });
      expect([added.status, await added.json()]).toMatchObject([
        200,
        { nodeId: `legacy:${old.url}`, status: 'active' },
      ]);
    } finally {
      await node.close();
      await old.close();
    }
  });

  it('keeps none for an agrinetd, and says so', async () => {
    const other = await registrationNode();
    const node = await registrationNode({}, dir);
    try {
      for (let i = 0; i < 2; i++) {
        const refused = await node.request('POST', '/federation/nodes', { url: other.url, key: 'a-key' });
        expect(refused.status).toBe(400);
        expect(await refused.text()).toContain('requests to it are signed');
      }
      expect(readFileSync(sourceKeysPath(dir.path), 'utf8')).not.toContain('a-key');
    } finally {
      await node.close();
      await other.close();
    }
  });
});
