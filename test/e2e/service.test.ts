import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Machine, machineLacking, startMachine } from '../support/machine.ts';
import { waitFor } from '../support/wait.ts';

const lacking = machineLacking();
const NODE = '/opt/agrinet/node_modules/.bin/node';
/** Turns the daemon's main loop for ever, by its own debugger. */
const BLOCK = `const pid = Number(process.argv[1]);
process.kill(pid, 'SIGUSR1');
for (;;) {
  const targets = await fetch('http://127.0.0.1:9229/json').then((r) => r.json(), () => undefined);
  if (targets === undefined) { await new Promise((next) => setTimeout(next, 50)); continue; }
  const socket = new WebSocket(targets[0].webSocketDebuggerUrl);
  await new Promise((open) => socket.addEventListener('open', open));
  socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: 'for (;;);' } }));
  await new Promise((next) => setTimeout(next, 200));
  process.exit();
}`;

/**
 * The unit as it is, under a real systemd with all its restrictions: mount, user and IPC namespaces, seccomp, capabilities, credentials.
 * What a machine in namespaces does not show: limits by cgroup controllers (TasksMax), where this machine has none to give away.
 */
describe.skipIf(lacking !== undefined)(
  `agrinetd.service under systemd${lacking === undefined ? '' : ` [skipped: ${lacking}]`}`,
  { timeout: 120_000 },
  () => {
    let machine: Machine;
    const show = (property: string, unit = 'agrinetd'): Promise<string> =>
      machine.sh(`systemctl show -P ${property} ${unit}`);
    /** Status and body of a request from inside. */
    const get = (path: string, key?: string): Promise<string> => {
      const headers = JSON.stringify(key === undefined ? {} : { 'x-api-key': key });
      const code = `fetch("http://127.0.0.1:5000${path}", { headers: ${headers} }).then(async (r) => console.log(r.status, await r.text()))`;
      return machine.sh(`${NODE} -e '${code}'`);
    };

    beforeAll(async () => {
      machine = await startMachine();
      await machine.sh('/project/systemd/install.sh || { journalctl -u agrinetd -o cat; exit 1; }');
    }, 120_000);
    afterAll(() => machine.stop());

    it('starts, says that it is ready, and serves', async () => {
      expect(await show('ActiveState')).toBe('active');
      expect(await show('StatusText')).toBe('ready, 0 of 0 registered nodes connected');
      expect(await get('/health')).toBe('200 {"status":"ok"}');
      expect(await machine.sh('agrinet identity')).toMatch(/^peerId: 12D3Koo/);
      expect(await machine.sh('systemctl is-enabled agrinetd')).toBe('enabled');
    });

    it('has no rights beyond its own', async () => {
      const pid = await show('MainPID');
      const status = await machine.sh(`cat /proc/${pid}/status`);
      expect(status).toMatch(/^CapEff:\t0+$/m);
      expect(status).toMatch(/^CapBnd:\t0+$/m);
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      expect(status).toMatch(/^Seccomp:\t2$/m);
      expect(status).toMatch(/^Umask:\t0077$/m);
      expect(await machine.sh(`stat -c %U /proc/${pid}`)).toBe('agrinet');
      // As it sees the machine: read-only but for its data, nothing to run there, nobody's home, no disks.
      const mounts = await machine.sh(`cat /proc/${pid}/mountinfo`);
      const options = (path: string): string | undefined =>
        new RegExp(`^\\d+ \\d+ \\S+ \\S+ ${path} (\\S+) `, 'm').exec(mounts)?.[1];
      expect(options('/')?.split(',')).toContain('ro');
      expect(options('/var/lib/agrinet')?.split(',')).toEqual(expect.arrayContaining(['rw', 'noexec']));
      const inside = `nsenter --target ${pid} --mount --`;
      expect(await machine.sh(`${inside} ls -A /home /root /dev | grep -E '^(loop|sd|vd|kmsg)' | cat`)).toBe(
        '',
      );
    });

    it('logs with the priority of each line', async () => {
      const lines = (await machine.sh('journalctl -u agrinetd -o json --no-pager _TRANSPORT=stdout')).split(
        '\n',
      );
      const said = lines.map((line) => JSON.parse(line) as { MESSAGE: string; PRIORITY: string });
      expect(said.find(({ MESSAGE }) => MESSAGE.includes('"msg":"listening"'))).toMatchObject({
        PRIORITY: '6',
        MESSAGE: expect.stringMatching(/^\{"level":30,/),
      });
    });

    it('takes a secret from its credentials, and does not miss one that is not there', async () => {
      await machine.sh('umask 077; head -c 32 /dev/urandom | base64 > /etc/agrinet/credentials/API_KEY');
      const key = await machine.sh('cat /etc/agrinet/credentials/API_KEY');
      await machine.sh('systemctl restart agrinetd');
      expect(await get('/federation/peers', key)).toMatch(/^200 /);
      expect(await get('/federation/peers', await machine.sh('cat /var/lib/agrinet/api-key'))).toMatch(
        /^403 /,
      );
      expect(await machine.sh('agrinet keys list --json')).toBe('{"keys":[]}');
      expect(await machine.sh('journalctl --no-pager')).not.toContain(key);
      await machine.sh('rm /etc/agrinet/credentials/API_KEY; systemctl restart agrinetd');
    });

    it('is replaced by a newer version while it runs; data and settings stay', async () => {
      const before = [
        await show('MainPID'),
        await machine.sh('agrinet identity --json'),
        await machine.sh('readlink /opt/agrinet'),
      ];
      await machine.sh('/project/systemd/install.sh');
      expect(await show('ActiveState')).toBe('active');
      const after = [
        await show('MainPID'),
        await machine.sh('agrinet identity --json'),
        await machine.sh('readlink /opt/agrinet'),
      ];
      expect(after[0]).not.toBe(before[0]);
      expect(JSON.parse(after[1] ?? '')).toMatchObject({
        peerId: (JSON.parse(before[1] ?? '') as { peerId: string }).peerId,
      });
      expect(after[2]).not.toBe(before[2]);
      expect(await machine.sh('ls /opt/agrinet-releases | wc -l')).toBe('1');
    });

    it('is started anew by the watchdog when its main loop is blocked', async () => {
      await machine.sh(
        'mkdir -p /run/systemd/system/agrinetd.service.d; printf "[Service]\\nWatchdogSec=6s\\nTimeoutAbortSec=3s\\n" > /run/systemd/system/agrinetd.service.d/t.conf; systemctl daemon-reload; systemctl restart agrinetd',
      );
      const pid = await show('MainPID');
      const began = performance.now();
      await waitFor('longer than the watchdog waits', () => performance.now() - began > 9000);
      expect(await show('MainPID'), 'while it lives it is left alone').toBe(pid);
      await machine.sh(`${NODE} --input-type=module -e '${BLOCK.replaceAll("'", `'\\''`)}' ${pid}`);
      await waitFor(
        'another process',
        async () => {
          const now = await show('MainPID');
          return now !== '0' && now !== pid && (await show('ActiveState')) === 'active';
        },
        60_000,
      );
      expect(await show('NRestarts')).toBe('1');
      expect(await machine.sh('journalctl -u agrinetd --no-pager')).toMatch(/Watchdog timeout/);
      await machine.sh(
        'rm -r /run/systemd/system/agrinetd.service.d; systemctl daemon-reload; systemctl restart agrinetd',
      );
    });

    it('is not started again after an exit code that a restart cannot mend', async () => {
      await machine.sh('cp /etc/agrinet/agrinetd.env /tmp/kept; echo PORT=none >> /etc/agrinet/agrinetd.env');
      expect((await machine.run('systemctl', 'restart', 'agrinetd')).code).not.toBe(0);
      expect([await show('ActiveState'), await show('ExecMainStatus')]).toEqual(['failed', '64']);
      const lines = (await machine.sh('journalctl -u agrinetd -p err -o cat --no-pager')).split('\n');
      expect(lines).toEqual(
        expect.arrayContaining([expect.stringMatching(/^ {2}PORT: "none" is not a whole number/)]),
      );
      await machine.sh(
        'cp /tmp/kept /etc/agrinet/agrinetd.env; systemctl reset-failed; systemctl start agrinetd',
      );
    });

    it("is synced by the timer's service", async () => {
      await machine.sh('systemctl start agrinet-sync.service');
      expect(await show('Result', 'agrinet-sync.service')).toBe('success');
      expect(await machine.sh('journalctl -u agrinet-sync -o cat --no-pager')).toContain('Syncs queued: 0');
      await machine.sh('systemctl start agrinet-sync.timer');
      expect(await show('ActiveState', 'agrinet-sync.timer')).toBe('active');
    });

    it('its worker waits for Redis under the same restrictions, and is left alone without it', async () => {
      await machine.sh(
        'umask 077; agrinet keys issue --user worker --scopes worker,read | head -1 > /etc/agrinet/credentials/WORKER_API_KEY; echo redis://127.0.0.1:1 > /etc/agrinet/credentials/REDIS_URL',
      );
      await machine.sh('systemctl start agrinet-worker@1');
      await waitFor('the worker to say so', async () =>
        (await machine.sh('journalctl -u agrinet-worker@1 -o cat --no-pager')).includes('waiting for Redis'),
      );
      const status = await machine.sh(`cat /proc/${await show('MainPID', 'agrinet-worker@1')}/status`);
      expect(status).toMatch(/^CapBnd:\t0+$/m);
      expect(status).toMatch(/^Seccomp:\t2$/m);
      await machine.sh(
        'systemctl stop agrinet-worker@1; rm /etc/agrinet/credentials/REDIS_URL; systemctl start agrinet-worker@2 || true',
      );
      await waitFor('it to end', async () => (await show('ActiveState', 'agrinet-worker@2')) === 'failed');
      expect(await show('ExecMainStatus', 'agrinet-worker@2')).toBe('64');
    });

    it('stops in order, and is uninstalled; data and settings stay', async () => {
      await machine.sh('systemctl stop agrinetd');
      expect([await show('Result'), await show('ExecMainStatus')]).toEqual(['success', '0']);
      await machine.sh('systemctl start agrinetd');
      expect(await machine.sh('/project/systemd/install.sh --uninstall')).toMatch(
        /^agrinetd is uninstalled\./,
      );
      expect((await machine.run('systemctl', 'cat', 'agrinetd')).code).not.toBe(0);
      expect(await machine.sh('ls /var/lib/agrinet /etc/agrinet')).toMatch(
        /identity\.json[^]*agrinetd\.env|agrinetd\.env[^]*identity\.json/,
      );
    });
  },
);
