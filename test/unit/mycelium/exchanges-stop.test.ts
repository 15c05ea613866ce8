import { expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Exchanges, type ExchangesParts } from '../../../protocols/mycelium/exchanges.ts';
import { Offences } from '../../../protocols/mycelium/offences.ts';

it('a stop waits for the exchange that is under way, and none begins after it', async () => {
  const connection = { remotePeer: { toString: () => 'peer' }, status: 'open' } as never;
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  let asked = 0;
  const parts: ExchangesParts = {
    env: systemEnv,
    libp2p: { getConnections: () => [connection] },
    access: { mayReplicate: () => true },
    offences: new Offences(),
    now: () => 0,
    onEvent: () => undefined,
    transportTo: () => ({
      async *frontier() {
        asked++;
        await held;
        yield* [];
        return '';
      },
    }),
    onFrontier: async () => undefined,
  };
  const exchanges = new Exchanges(parts);
  const first = exchanges.exchange(connection);
  let hasStopped = false;
  const stopped = exchanges.stop().then(() => (hasStopped = true));
  await exchanges.withAll();
  await new Promise(setImmediate);
  expect([asked, hasStopped]).toEqual([1, false]);
  letGo();
  await Promise.all([first, stopped]);
  await exchanges.greet(connection);
  expect(asked).toBe(1);
});
