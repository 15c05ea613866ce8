import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { tempDir } from './temp-dir.ts';
import { waitFor } from './wait.ts';

/** Prints each datagram as a line of JSON; Node.js cannot receive them. */
const LISTENER = `
import json, os, socket, sys
own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
own.bind(sys.argv[1])
print('bound', flush=True)
while True:
    print(json.dumps(own.recv(65536).decode()), flush=True)
`;

/** What systemd would hear at NOTIFY_SOCKET. */
export interface NotifySocket {
  readonly path: string;
  /** Each message so far, as its assignments. */
  heard(): Record<string, string>[];
  close(): Promise<void>;
}

/** Why nobody can listen here, with the cure, or undefined. */
export function notifySocketLacking(): string | undefined {
  const { error, status } = spawnSync('python3', ['-c', 'import socket; socket.AF_UNIX']);
  return error === undefined && status === 0
    ? undefined
    : 'no python3 here; install it with: apt-get install python3';
}

/** Listens as systemd does: a datagram socket of AF_UNIX. */
export async function listenAsSystemd(): Promise<NotifySocket> {
  const dir = tempDir('notify');
  const path = join(dir.path, 'notify');
  const child = spawn('python3', ['-c', LISTENER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  let lines: string[] = [];
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    lines = [...lines, ...parts];
  });
  await waitFor('the socket', () => lines.includes('bound'));
  return {
    path,
    heard: () =>
      lines.slice(1).flatMap((line) => {
        const assignments = (JSON.parse(line) as string).trimEnd().split('\n');
        // systemd-notify asks by it whether what it said has been read.
        if (assignments.includes('BARRIER=1')) return [];
        const pairs = assignments.map((each) => [
          each.slice(0, each.indexOf('=')),
          each.slice(each.indexOf('=') + 1),
        ]);
        return [Object.fromEntries(pairs) as Record<string, string>];
      }),
    async close() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
      dir.remove();
    },
  };
}
