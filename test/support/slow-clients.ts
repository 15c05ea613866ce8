import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ProcessFederation, type ProcessMember } from './federation.ts';
import { waitFor } from './wait.ts';

const ATTACKERS = fileURLToPath(new URL('attackers.ts', import.meta.url));
/** Slow connections, a third of each kind; a campaign takes 500. */
export const SLOW = Number(process.env['SLOW_CONNECTIONS'] ?? 150);
/** Clients of `/events` that never read; a campaign takes 300. */
export const DEAF = Number(process.env['DEAF_CLIENTS'] ?? 100);
const LISTINGS = 4000;
/** The export must be larger than what the kernel takes for a reader that does not read. */
const NOTES_CHARS = 5000;
const RSS_PER_CONNECTION_MB = 0.5;
const RSS_NOISE_MB = 60;
/** What all of them may cost a daemon, resident. */
export const RSS_MB = RSS_NOISE_MB + (SLOW + DEAF) * RSS_PER_CONNECTION_MB;
/** The time that requests under way are given, and a margin for closing the database. */
export const STOPPED_WITHIN_MS = 8000;

/** A daemon with an export of 20 MB, and clients that take or send next to nothing. */
export interface SlowScene {
  readonly node: ProcessMember;
  residentMb(): number;
  /** Sockets that the daemon holds: what a client sees of a connection that it does not read is no proof. */
  sockets(): number;
  /** All of the clients, connected anew and held by the daemon. */
  attack(): Promise<ChildProcess>;
  close(): Promise<void>;
}

export async function slowScene(): Promise<SlowScene> {
  const federation = new ProcessFederation();
  const attackers: ChildProcess[] = [];
  const node = await federation.add({ RATE_LIMIT: 'off' });
  for (let from = 0; from < LISTINGS; from += 500) await importSome(node, from);
  const sockets = (): number => socketsOf(node.child.pid);
  return {
    node,
    residentMb: () => residentMb(node.child.pid),
    sockets,
    async attack() {
      const before = sockets();
      const env = {
        PORT: new URL(node.url).port,
        API_KEY: node.apiKey,
        SLOW: String(SLOW),
        DEAF: String(DEAF),
      };
      const child = spawn(process.execPath, [ATTACKERS], { env, stdio: ['ignore', 'pipe', 'inherit'] });
      attackers.push(child);
      const [told] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
      if (String(told) !== 'open\n') throw new Error(`the attackers: ${String(told)}`);
      await waitFor('the node to hold them', () => sockets() >= before + (SLOW + DEAF) * 0.9);
      return child;
    },
    async close() {
      for (const child of attackers) child.kill('SIGKILL');
      await federation.close();
    },
  };
}

async function importSome(node: ProcessMember, from: number): Promise<void> {
  const rows = Array.from({ length: 500 }, (_, i) => {
    const notes = `${from + i} `.repeat(NOTES_CHARS).slice(0, NOTES_CHARS);
    return JSON.stringify({ kind: 'listing', id: `lot-${from + i}`, type: 'offer', title: 'Maize', notes });
  });
  const response = await fetch(`${node.url}/import`, {
    method: 'POST',
    headers: { 'x-api-key': node.apiKey, 'content-type': 'application/x-ndjson' },
    body: rows.join('\n'),
  });
  const answer = await response.text();
  if (!answer.includes('"finished":true')) throw new Error(`the import was broken off: ${answer}`);
}

function residentMb(pid: number | undefined): number {
  const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb) / 1024;
}

function socketsOf(pid: number | undefined): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((fd) => {
    try {
      return readlinkSync(`${folder}/${fd}`).startsWith('socket:');
    } catch {
      return false; // closed between the two calls
    }
  }).length;
}
