import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const BIN = fileURLToPath(new URL('../../daemon/agrinet.mjs', import.meta.url));

it('three nodes federate real prices and the demo ends by itself with equal digests', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [BIN, 'demo', '--exit'], {
    timeout: 100_000,
  });
  const digests = [...stdout.matchAll(/│ ([0-9a-f]{64}) │/g)].map((match) => match[1]);
  expect(digests).toHaveLength(3);
  expect(new Set(digests).size).toBe(1);
  expect(stdout).toContain('1499 prices and 895 listings on each node');
}, 120_000);
