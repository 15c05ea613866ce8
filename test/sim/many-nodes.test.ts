import { expect, test } from 'vitest';
import { REGISTRY_LIMITS } from '../../protocols/registry/registry.ts';
import { randomFrom, someIdentity } from '../support/forge.ts';
import { registerHere, startNode, TEST_KEY } from '../support/in-process-node.ts';
import { loopLine, STRETCH_MS, watchLoop } from '../support/loop-watch.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Whoever asks about the nodes of a full registry costs each node once, in turns: it was all of them for each. */
test('as many nodes as a registry holds are listed in turns', async () => {
  const random = randomFrom(6);
  const dir = tempDir('many-nodes');
  const node = await startNode(dir.path, { RATE_LIMIT: 'off', SYNC_INTERVAL_MINUTES: '0' });
  try {
    const count = REGISTRY_LIMITS.nodes;
    await Promise.all(Array.from({ length: count }, () => registerHere(node, someIdentity(random).peerId)));
    for (const path of ['/federation/status', '/federation/nodes', '/', '/doctor']) {
      const stretches: number[] = [];
      for (let i = 0; i < 4; i++) {
        const figures = await watchLoop(async () => {
          const answer = await node.app.request(path, { headers: { 'x-api-key': TEST_KEY } });
          expect([path, answer.status]).toEqual([path, 200]);
          return answer.text();
        });
        stretches.push(figures.cpuMs);
        if (i === 3) console.info(loopLine(`${path} of ${count} nodes`, figures));
      }
      // The first is compiled, and any one may meet the garbage collector.
      expect([path, Math.min(...stretches) < STRETCH_MS]).toEqual([path, true]);
    }
  } finally {
    await node.stop();
    dir.remove();
  }
}, 90_000);
