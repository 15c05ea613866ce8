import { once } from 'node:events';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, describe, expect, it, test } from 'vitest';
import { askHealth, createSelfCheck } from '../../../daemon/service/self-check.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { freePort } from '../../support/daemon.ts';
import { startNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const DEADLINE_MS = 300;
const never = (): Promise<never> => new Promise(() => undefined);
const alive = {
  ledger: async () => undefined,
  storage: async () => undefined,
  storageTrouble: () => undefined,
  reopening: () => false,
  http: async () => undefined,
};

describe('the self-check', () => {
  it('names each part that is silent, and only that', async () => {
    expect(await createSelfCheck(alive, systemEnv)(DEADLINE_MS)).toEqual([]);
    expect(await createSelfCheck({ ...alive, ledger: never }, systemEnv)(DEADLINE_MS)).toEqual([
      'the ledger does not answer',
    ]);
    expect(await createSelfCheck({ ...alive, storage: never, http: never }, systemEnv)(DEADLINE_MS)).toEqual([
      'the database does not answer',
      'HTTP does not answer',
    ]);
  });

  it('takes an error of the database for an answer only while the storage guard deals with it', async () => {
    const storage = async (): Promise<never> => Promise.reject(new Error('EIO'));
    expect(await createSelfCheck({ ...alive, storage }, systemEnv)(DEADLINE_MS)).toEqual([
      'the database fails (EIO)',
    ]);
    expect(
      await createSelfCheck({ ...alive, storage, storageTrouble: () => 'full' }, systemEnv)(DEADLINE_MS),
    ).toEqual([]);
  });

  it('waits for a database that is being opened again, and the ledger behind it, as long as that takes', async () => {
    const waiting = { ...alive, ledger: never, storage: never };
    expect(await createSelfCheck({ ...waiting, reopening: () => true }, systemEnv)(DEADLINE_MS)).toEqual([]);
    expect(await createSelfCheck(waiting, systemEnv)(DEADLINE_MS)).toHaveLength(2);
    const http = { ...waiting, reopening: () => true, http: never };
    expect(await createSelfCheck(http, systemEnv)(DEADLINE_MS)).toEqual(['HTTP does not answer']);
  });

  it('finds the ledger of a node whose storage is stuck, and passes again when it goes on', async () => {
    const dir = tempDir('self-check');
    const here = await startNode(dir.path);
    try {
      const check = createSelfCheck({ ...alive, ledger: () => here.node.ledger.drain() }, systemEnv);
      expect(await check(DEADLINE_MS)).toEqual([]);
      const { promise: stuck, resolve: free } = Promise.withResolvers<undefined>();
      const held = here.node.ledger.alone(() => stuck);
      const written = here.request('POST', '/listings', { type: 'offer', title: 'waits' });
      expect(await check(DEADLINE_MS)).toEqual(['the ledger does not answer']);
      free(undefined);
      await held;
      expect((await written).status).toBe(201);
      expect(await check(5000)).toEqual([]);
    } finally {
      await here.stop();
      dir.remove();
    }
  });
});

describe('/health over the own listener', () => {
  let server: Server | undefined;
  afterEach(() => server?.close());

  async function listen(onConnection: Parameters<typeof createTcpServer>[1]): Promise<string> {
    server = createTcpServer(onConnection).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `http://0.0.0.0:${(server.address() as AddressInfo).port}`;
  }

  test('any answer will do, also that of a limit; an address that stands for all is asked on loopback', async () => {
    const url = await listen((socket) =>
      socket.end('HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n'),
    );
    await expect(askHealth(url, AbortSignal.timeout(5000))).resolves.toBeUndefined();
  });

  test('a connection that is taken and closed is an answer: so do the limits on connections', async () => {
    const url = await listen((socket) => socket.destroy());
    await expect(askHealth(url, AbortSignal.timeout(5000))).resolves.toBeUndefined();
  });

  test('nobody there, or nobody who answers, is none', async () => {
    const url = await listen(() => undefined);
    await expect(askHealth(url, AbortSignal.timeout(DEADLINE_MS))).rejects.toThrow(/abort/i);
    const gone = `http://127.0.0.1:${await freePort()}`;
    await expect(askHealth(gone, AbortSignal.timeout(5000))).rejects.toThrow(/ECONNREFUSED/);
  });
});
