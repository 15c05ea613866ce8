import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blockMainLoop, DEBUGGABLE } from '../support/block-main-loop.ts';
import { type DaemonProcess, freePort, startDaemon } from '../support/daemon.ts';
import { listenAsSystemd, type NotifySocket, notifySocketLacking } from '../support/notify-socket.ts';
import {
  type FreezableDisk,
  freezableDisk,
  freezableDiskLacking,
  smallDisk,
  smallDiskLacking,
} from '../support/small-disk.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

const LAUNCHER = fileURLToPath(new URL('../../systemd/with-notify-fd.pl', import.meta.url));
const lacking = notifySocketLacking();
const freezing = freezableDiskLacking();
const tmpfs = smallDiskLacking();
const WATCHDOG_MS = 1500;
/** Enough for a busy machine; what is awaited comes within a second on an idle one. */
const PATIENCE_MS = 30_000;
const MIB = 1024 * 1024;

describe.skipIf(lacking !== undefined)(
  `what systemd hears of a daemon${lacking === undefined ? '' : ` [skipped: ${lacking}]`}`,
  () => {
    let systemd: NotifySocket;
    let dir: ReturnType<typeof tempDir>;
    let daemon: DaemonProcess | undefined;
    beforeEach(async () => {
      systemd = await listenAsSystemd();
      dir = tempDir('notify-data');
    });
    afterEach(async () => {
      await daemon?.stop('SIGKILL');
      daemon = undefined;
      await systemd.close();
      dir.remove();
    });

    const env = () => ({
      NOTIFY_SOCKET: systemd.path,
      WATCHDOG_USEC: String(WATCHDOG_MS * 1000),
      ...DEBUGGABLE,
    });
    const pings = (): number => systemd.heard().filter(({ WATCHDOG }) => WATCHDOG === '1').length;
    /** Time in which a daemon that lives pings three times. */
    async function expectSilence(): Promise<void> {
      const before = pings();
      const end = performance.now() + WATCHDOG_MS;
      await waitFor('time to pass', () => performance.now() > end);
      expect(pings()).toBe(before);
    }

    it.each([
      ['with the descriptor of the unit', ['perl', LAUNCHER]],
      ['through systemd-notify', []],
    ])('%s: READY when HTTP listens, WATCHDOG again and again, STOPPING at the end', async (_, prefix) => {
      let answeredAtReady: boolean | undefined;
      const PORT = String(await freePort());
      const watching = waitFor(
        'READY',
        async () => {
          if (!systemd.heard().some(({ READY }) => READY === '1')) return undefined;
          answeredAtReady ??= (await fetch(`http://127.0.0.1:${PORT}/health`)).ok;
          return true;
        },
        PATIENCE_MS,
      );
      [daemon] = await Promise.all([startDaemon(dir.path, { ...env(), PORT }, prefix), watching]);
      expect(answeredAtReady).toBe(true);
      await waitFor('three pings', () => pings() >= 3, PATIENCE_MS);
      expect(await daemon.stop()).toBe(0);

      const heard = systemd.heard();
      expect(heard[0]).toMatchObject({ STATUS: 'starting', EXTEND_TIMEOUT_USEC: '60000000' });
      const ready = heard.findIndex(({ READY }) => READY === '1');
      expect(heard[ready]?.['STATUS']).toBe('ready, 0 of 0 registered nodes connected');
      expect(heard.slice(0, ready).some(({ WATCHDOG }) => WATCHDOG !== undefined)).toBe(false);
      expect(heard.at(-1)).toEqual({ STOPPING: '1', STATUS: 'stopping' });
      expect(daemon.output()).not.toContain('could not be notified');
    });

    it('a main loop that is blocked: no ping any more', async () => {
      daemon = await startDaemon(dir.path, env(), ['perl', LAUNCHER]);
      await waitFor('the first ping', () => pings() > 0, PATIENCE_MS);
      await blockMainLoop(daemon);
      await waitFor('HTTP to be silent', () =>
        fetch(`${daemon?.url}/health`, { signal: AbortSignal.timeout(200) }).then(
          () => false,
          () => true,
        ),
      );
      await expectSilence();
      expect(daemon.child.exitCode).toBeNull();
    });

    it.skipIf(freezing !== undefined)(
      `a disk whose writes hang: no ping any more, though HTTP answers; pings again when it goes on${freezing === undefined ? '' : ` [skipped: ${freezing}]`}`,
      async () => {
        const disk: FreezableDisk = freezableDisk(256);
        try {
          daemon = await startDaemon(disk.path, env(), ['perl', LAUNCHER]);
          await waitFor('the first ping', () => pings() > 0, PATIENCE_MS);
          disk.freeze();
          const written = daemon.request('POST', '/listings', { type: 'offer', title: 'waits for the disk' });
          try {
            await waitFor('the status to say so', () =>
              systemd.heard().some(({ STATUS }) => STATUS === 'the ledger does not answer'),
            );
            await expectSilence();
            expect((await daemon.request('GET', '/health')).status).toBe(200);
          } finally {
            disk.thaw();
          }
          expect((await written).status).toBe(201);
          const before = pings();
          await waitFor('pings again', () => pings() > before);
          expect(await daemon.stop()).toBe(0);
        } finally {
          await daemon?.stop('SIGKILL');
          disk.remove();
        }
      },
    );

    it.skipIf(tmpfs !== undefined)(
      `a full disk, a Redis and a peer that are away: pings go on${tmpfs === undefined ? '' : ` [skipped: ${tmpfs}]`}`,
      async () => {
        const disk = smallDisk(40);
        try {
          daemon = await startDaemon(
            disk.path,
            {
              ...env(),
              DISK_RESERVE_MB: '8',
              REDIS_URL: 'redis://127.0.0.1:1',
              MYCELIUM_PEER_URLS: 'http://127.0.0.1:1',
            },
            ['perl', LAUNCHER],
          );
          disk.fill(4 * MIB);
          await waitFor('the status to say so', () =>
            systemd.heard().some(({ STATUS }) => STATUS?.startsWith('not ready: less than')),
          );
          const before = pings();
          await waitFor('four more pings', () => pings() >= before + 4);
          disk.free();
          expect(await daemon.stop()).toBe(0);
        } finally {
          await daemon?.stop('SIGKILL');
          disk.remove();
        }
      },
    );
  },
);
