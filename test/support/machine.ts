import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { tempDir } from './temp-dir.ts';
import { waitFor } from './wait.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const SYSTEMD = '/lib/systemd/systemd';

/** This machine once more, with a systemd of its own as process 1, in namespaces: what it does to its files and processes stays there. */
export interface Machine {
  /** Runs a command in it as root; resolves to how it ended. */
  run(...command: readonly string[]): Promise<Ended>;
  /** The same for a line of shell, which must end with 0; resolves to what it printed. */
  sh(line: string): Promise<string>;
  stop(): Promise<void>;
}

export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/**
 * A root folder for process 1: `lower` (this machine's own, or another Debian) under an overlay in memory, the project at /project, and
 * kernel settings read-only. Reaching the first target means that it is up.
 */
const BOOT = `set -e
mount --make-rprivate /
mount -t tmpfs -o size=4g tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mkdir -p project oldroot proc sys run tmp dev
mount --bind "$3" project
mount -o remount,bind,ro project
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for each in null zero full random urandom tty; do touch dev/$each; mount --bind /dev/$each dev/$each; done
mkdir dev/pts dev/shm
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
printf '[Unit]\\nRequires=basic.target\\nAfter=basic.target\\nAllowIsolate=yes\\n' > etc/systemd/system/machine.target
printf 'test-machine\\n' > etc/hostname
rm -f etc/machine-id; printf '%s\\n' 0123456789abcdef0123456789abcdef > etc/machine-id
pivot_root . oldroot
umount -l /oldroot
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin ${SYSTEMD} --unit=machine.target --show-status=0
`;

const NAMESPACES = ['--mount', '--pid', '--cgroup', '--uts', '--ipc', '--net'];

/** Why no such machine can be started here, with the cure, or undefined when one can. */
export function machineLacking(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root, on Linux';
  if (!existsSync(SYSTEMD)) return 'no systemd here; install it with: apt-get install systemd';
  const dir = tempDir('try-machine');
  const trial = `mount -t tmpfs tmpfs "$1" && mkdir "$1/u" "$1/w" "$1/r" "$1/c" && mount -t cgroup2 cgroup2 "$1/c" &&
    mount -t overlay overlay -o "lowerdir=/,upperdir=$1/u,workdir=$1/w" "$1/r"`;
  const { status, stderr, error } = spawnSync(
    'unshare',
    [...NAMESPACES, '--fork', 'sh', '-c', trial, 'sh', dir.path],
    { encoding: 'utf8' },
  );
  dir.remove();
  return status === 0
    ? undefined
    : `namespaces with an overlay cannot be made (${error?.message ?? stderr.trim()})`;
}

/** Starts one over `lower`, a folder with a Debian in it. */
export async function startMachine(lower = '/'): Promise<Machine> {
  process.umask(0o022); // an administrator's, whatever other tests have set
  const dir = tempDir('machine');
  const child = spawn(
    'unshare',
    [...NAMESPACES, '--fork', '--kill-child', 'bash', '-c', BOOT, 'boot', dir.path, lower, PROJECT],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  const run = async (...command: readonly string[]): Promise<Ended> => {
    const pid = firstProcess(child);
    const entered = spawn('nsenter', ['--target', pid, '--all', '--', ...command], {
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [entered.stdout, entered.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    const [code] = (await once(entered, 'close')) as [number | null];
    return { code, output };
  };
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL'); // --kill-child: process 1 goes with it, and with that everything in the namespaces
      await ended;
    }
    dir.remove();
  };
  try {
    await waitFor(
      'systemd to be up',
      async () => {
        if (child.exitCode !== null) throw new Error(`systemd ended with ${child.exitCode}: ${said}`);
        return (
          firstProcess(child) !== '' && (await run('systemctl', 'is-active', 'machine.target')).code === 0
        );
      },
      30_000,
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    run,
    stop,
    async sh(line) {
      const { code, output } = await run('sh', '-c', line);
      if (code !== 0) throw new Error(`${line}: ${code}: ${output}`);
      return output.trim();
    },
  };
}

/** Its process 1, as this machine numbers it; empty while it is not there. */
function firstProcess(unshare: ChildProcess): string {
  const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', String(unshare.pid)], { encoding: 'utf8' });
  return stdout.trim();
}
