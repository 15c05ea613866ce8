import type { Libp2p } from '@libp2p/interface';
import { expect, it } from 'vitest';
import { Dialer } from '../../../protocols/discovery/dialer.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { systemEnv } from '../../../daemon/system-env.ts';

function peerOf(n: number): string {
  const seed = new Uint8Array(32);
  new DataView(seed.buffer).setUint32(0, n + 1);
  return identityFromSeed(seed).peerId;
}

it('looks absent peers up in the DHT once in ten seconds together, and keeps looks for one that was not tried before', async () => {
  let [now, looks] = [0, 0];
  // What the dialer uses of it; nobody is found.
  const libp2p = {
    peerStore: { has: () => Promise.resolve(false) },
    peerRouting: {
      findPeer: () => {
        looks++;
        return Promise.reject(new Error('not found'));
      },
    },
  } as unknown as Libp2p;
  const dialer = new Dialer({
    env: { ...systemEnv, monotonic: () => now },
    libp2p,
    book: { addressesOf: () => [] } as never,
    onDebug: () => undefined,
  });
  const dial = (n: number, attempt: number): Promise<string> =>
    dialer.dial({ kind: 'registered', peerId: peerOf(n) }, attempt, AbortSignal.timeout(5000));

  for (let n = 0; n < 50; n++) await expect(dial(n, 5)).rejects.toMatchObject({ code: 'no-address' });
  const burst = looks;
  expect(burst).toBeLessThan(10);
  await expect(dial(50, 0)).rejects.toMatchObject({ code: 'no-address' });
  expect(looks).toBe(burst + 1);
  for (now = 1000; now <= 600_000; now += 1000)
    await expect(dial(now % 50, 5)).rejects.toMatchObject({ code: 'no-address' });
  expect(looks - burst).toBeLessThanOrEqual(61);
  expect(looks - burst).toBeGreaterThan(50);
});
