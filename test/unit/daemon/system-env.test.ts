import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { every, pause } from '../../../protocols/env.ts';

const module = new URL('../../../daemon/system-env.ts', import.meta.url).href;

/** Runs a program that ends by itself; what it wrote. */
function written(program: string): string {
  const { stdout, status, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', `import { systemEnv as env } from ${JSON.stringify(module)};\n${program}`],
    { timeout: 30_000, encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout;
}

describe('timers of the machine', () => {
  it('keep no process alive, unless they hold it', () => {
    expect(written(`env.after(600_000, () => console.log('never'));`)).toBe('');
    expect(written(`env.after(1, () => console.log('held'), { holds: true });`)).toBe('held\n');
  });

  it('wait as long as they can when they are asked for longer, and do not call at once', async () => {
    let calls = 0;
    const timer = systemEnv.after(2 ** 40, () => calls++);
    await pause(systemEnv, 20, undefined, { holds: true });
    expect(calls).toBe(0);
    timer.cancel();
  });

  it('call not once they are cancelled, twice or afterwards too', async () => {
    const called: string[] = [];
    const cancelled = systemEnv.after(0, () => called.push('cancelled'));
    cancelled.cancel();
    const made = systemEnv.after(0, () => called.push('made'));
    await pause(systemEnv, 5, undefined, { holds: true });
    for (const timer of [cancelled, made, made]) timer.cancel();
    expect(called).toEqual(['made']);
  });

  it('let sockets and other timers have their turn at 0', async () => {
    const order: string[] = [];
    const turn = new Promise<void>((resolve) => systemEnv.after(0, () => resolve(void order.push('turn'))));
    await Promise.resolve().then(() => order.push('promise'));
    await turn;
    expect(order).toEqual(['promise', 'turn']);
  });
});

describe('pause', () => {
  it('ends with its time or with its signal, whichever comes first, and at once with one that has come', async () => {
    const stopping = new AbortController();
    const long = pause(systemEnv, 600_000, stopping.signal);
    stopping.abort();
    await expect(long).resolves.toBeUndefined();
    await expect(pause(systemEnv, 600_000, stopping.signal)).resolves.toBeUndefined();
    const timed = pause(systemEnv, 1, new AbortController().signal, { holds: true });
    await expect(timed).resolves.toBeUndefined();
  });
});

describe('every', () => {
  it('calls again and again until it is cancelled, from within its own call too', async () => {
    let calls = 0;
    await new Promise<void>((resolve) => {
      const timer = every(
        systemEnv,
        1,
        () => {
          if (++calls < 3) return;
          timer.cancel();
          resolve();
        },
        { holds: true },
      );
    });
    await pause(systemEnv, 20, undefined, { holds: true });
    expect(calls).toBe(3);
  });
});

describe('deadline', () => {
  it('aborts with a TimeoutError', async () => {
    const signal = systemEnv.deadline(1);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    expect(signal.reason).toMatchObject({ name: 'TimeoutError' });
  });
});

describe('deadline of any time', () => {
  it('takes fractions, what has passed already, and more than a timer can wait', async () => {
    for (const ms of [0.5, -3, 0]) {
      const signal = systemEnv.deadline(ms);
      if (!signal.aborted)
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      expect(signal.reason).toMatchObject({ name: 'TimeoutError' });
    }
    const far = systemEnv.deadline(2 ** 40);
    await pause(systemEnv, 20, undefined, { holds: true });
    expect(far.aborted).toBe(false);
  });
});

describe('chance', () => {
  it('is fresh each time', () => {
    expect(systemEnv.bytes(16)).toHaveLength(16);
    expect(systemEnv.bytes(16)).not.toEqual(systemEnv.bytes(16));
    expect(systemEnv.random()).toBeLessThan(1);
  });
});

it('gives random bytes of any length, none of them twice and none that others could read', () => {
  const seen = new Set<string>();
  for (let i = 0; i < 3000; i++) {
    const bytes = systemEnv.bytes(16);
    expect(bytes.buffer.byteLength).toBe(16);
    seen.add(Buffer.from(bytes).toString('hex'));
  }
  expect(seen.size).toBe(3000);
  for (const length of [0, 1, 63, 64, 65, 5000]) expect(systemEnv.bytes(length)).toHaveLength(length);
  const all = Buffer.concat(Array.from({ length: 1000 }, () => systemEnv.bytes(64)));
  const zeros = all.filter((byte) => byte === 0).length;
  // 250 are to be expected of 64,000; a sixteenth of that or the fourfold comes up once in more runs than there will be.
  expect(zeros).toBeGreaterThan(15);
  expect(zeros).toBeLessThan(1000);
});
