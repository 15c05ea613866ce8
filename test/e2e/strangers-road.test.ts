import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const ROAD = fileURLToPath(new URL('strangers-road.sh', import.meta.url));

it(
  'from a fresh clone to a listing on two nodes, with fewer than ten commands of the README',
  { timeout: 400_000 },
  async () => {
    const child = spawn('bash', [ROAD], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    const [code] = (await once(child, 'close')) as [number | null];
    expect({ code, end: code === 0 ? '' : output.slice(-3000) }).toEqual({ code: 0, end: '' });
    expect(output).toMatch(/checks passed, no problems found\.$/m);
    expect(output).toMatch(/^== both hold the same/m);
  },
);
