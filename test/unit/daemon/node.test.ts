import { afterEach, beforeEach, expect, it } from 'vitest';
import type { HttpServer } from '../../../daemon/http.ts';
import { createLogger } from '../../../daemon/logger.ts';
import { createNode } from '../../../daemon/node.ts';
import { machine, type Outside } from '../../../daemon/outside.ts';
import { loadSettings } from '../../../daemon/settings.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { tempDir } from '../../support/temp-dir.ts';

let dir: ReturnType<typeof tempDir>;
beforeEach(() => {
  dir = tempDir('node');
});
afterEach(() => dir.remove());

/** A node whose server is `serve`; `order` says what was stopped, one after the other. */
function start(serve: Outside['serve'], order: string[]) {
  const settings = loadSettings({
    DATA_DIR: dir.path,
    MYCELIUM_PORT: '0',
    MYCELIUM_NETWORK: 'test',
    LOG_LEVEL: 'silent',
  });
  const apiKey = { key: 'a-key-of-this-test', publish: async () => void order.push('key published') };
  const options = {
    settings,
    identity: identityFromSeed(new Uint8Array(32).fill(7)),
    apiKey,
    logger: createLogger(settings),
  };
  return createNode(options, {
    serve,
    async openDatabase(...what) {
      const db = await machine.openDatabase(...what);
      const close = db.close.bind(db);
      db.close = async () => {
        await close();
        order.push('database closed');
      };
      return db;
    },
  });
}

it('is one list of parts: the clock first, its server behind everything that serves, and in reverse to the end', async () => {
  const order: string[] = [];
  const server: HttpServer = { url: 'http://here', stop: async () => void order.push('server stopped') };
  const { parts, context, url, stop } = await start(async () => {
    order.push('serves');
    return server;
  }, order);
  expect(new Set(parts).size).toBe(parts.length);
  expect(parts[0]).toBe('clock');
  expect(parts.slice(-3)).toEqual(['first key', 'HTTP', 'long requests']);
  expect(parts.indexOf('database')).toBeLessThan(parts.indexOf('libp2p'));
  expect(parts.indexOf('libp2p')).toBeLessThan(parts.indexOf('jobs'));
  expect(url).toBe('http://here');
  context.events.closing.addEventListener('abort', () => order.push('streams ended'));
  await stop();
  // A stream would keep the server from closing.
  expect(order).toEqual(['key published', 'serves', 'streams ended', 'server stopped', 'database closed']);
});

it('leaves nothing behind when its last part cannot start', async () => {
  const order: string[] = [];
  const busy = Object.assign(new Error('in use'), { code: 'port-busy' });
  await expect(start(() => Promise.reject(busy), order)).rejects.toBe(busy);
  expect(order).toEqual(['key published', 'database closed']);
  const again = await start(async () => ({ url: '', stop: async () => undefined }), order); // its folder is free
  await again.stop();
});
