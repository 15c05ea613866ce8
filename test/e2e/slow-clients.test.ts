import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEAF, RSS_MB, SLOW, type SlowScene, slowScene, STOPPED_WITHIN_MS } from '../support/slow-clients.ts';
import { waitFor } from '../support/wait.ts';

/** The longest of the limits, the look that finds it out, and a margin. */
const CLOSED_WITHIN_MS = 50_000;

describe.skipIf(process.platform !== 'linux')(`${SLOW} slow connections and ${DEAF} deaf listeners`, () => {
  let scene: SlowScene;
  beforeAll(async () => {
    scene = await slowScene();
  });
  afterAll(() => scene.close());

  it('are all closed in time when they are slow, cost bounded memory until then, and hold up no stop when they are deaf', async () => {
    const memory = scene.residentMb();
    const sockets = scene.sockets();
    const opened = performance.now();
    await scene.attack();
    let peak = 0;
    await waitFor(
      'the node to have closed every slow one',
      () => {
        peak = Math.max(peak, scene.residentMb() - memory);
        return scene.sockets() <= sockets + DEAF;
      },
      CLOSED_WITHIN_MS,
    );
    const closedAfter = performance.now() - opened;
    expect((await scene.node.request('GET', '/health')).status).toBe(200);
    // Nothing happens, so nothing is kept from those who listen: they stay, and hold up no stop (see events.test.ts for a full queue).
    const stopping = performance.now();
    expect(await scene.node.stop()).toBe(0);
    const stoppedAfter = performance.now() - stopping;
    const found = `${peak.toFixed(0)} MB more; slow ones closed after ${(closedAfter / 1000).toFixed(0)} s; stopped in ${(stoppedAfter / 1000).toFixed(1)} s`;
    console.log(found);
    expect(peak, found).toBeLessThan(RSS_MB);
    expect(stoppedAfter, found).toBeLessThan(STOPPED_WITHIN_MS);
  }, 240_000);
});
