import { afterEach, beforeEach, expect, test } from 'vitest';
import { startDaemon } from '../support/daemon.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

let dir: ReturnType<typeof tempDir>;
beforeEach(() => {
  dir = tempDir('signals');
});
afterEach(() => dir.remove());

test('a daemon without a terminal goes on after SIGHUP, SIGUSR2 and SIGPIPE, says so, and ends at SIGTERM', async () => {
  const daemon = await startDaemon(dir.path);
  try {
    for (const [signal, line] of [
      ['SIGHUP', 'settings are read at the start only'],
      ['SIGUSR2', 'SIGUSR2 means nothing here'],
    ] as const) {
      daemon.child.kill(signal);
      await waitFor(`a line about ${signal}`, () => daemon.output().includes(line));
    }
    daemon.child.kill('SIGPIPE');
    await daemon.json('POST', '/listings', { type: 'offer', title: 'after the signals' });
  } finally {
    expect(await daemon.stop()).toBe(0);
  }
});
