import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { lockIdentity } from '../../../daemon/lock.ts';

const module = new URL('../../../daemon/lock.ts', import.meta.url).href;
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A process of its own that holds the lock until it is killed. */
async function holder(peerId: string): Promise<ChildProcess> {
  const code = `const { lockIdentity } = await import(${JSON.stringify(module)});
    await lockIdentity(${JSON.stringify(peerId)});
    console.log('held');
    setInterval(() => {}, 60_000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error('the holder ended'))),
  ]);
  return child;
}

describe.runIf(process.platform === 'linux')('lockIdentity', () => {
  test('refuses a second process, names the first, and ends with it even by kill -9', async () => {
    const peerId = `test-${randomBytes(8).toString('hex')}`;
    const child = await holder(peerId);
    await expect(lockIdentity(peerId)).rejects.toMatchObject({
      code: 'database-locked',
      message: expect.stringContaining(`Process ${child.pid} already runs`),
    });
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    const lock = await lockIdentity(peerId);
    await lock.release();
  });

  test('is for one identity, and free again once released', async () => {
    const [a, b] = [randomBytes(8).toString('hex'), randomBytes(8).toString('hex')];
    const first = await lockIdentity(a);
    const other = await lockIdentity(b);
    await expect(lockIdentity(a)).rejects.toMatchObject({ code: 'database-locked' });
    await first.release();
    const again = await lockIdentity(a);
    await Promise.all([again.release(), other.release()]);
  });
});
