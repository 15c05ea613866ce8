#!/usr/bin/env node
// Plain JavaScript, so that an old Node.js can still read it and say what it needs. Everything else is TypeScript,
// which Node 24 runs as it stands.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, statSync } from 'node:fs';
import module from 'node:module';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED = 24;
const USAGE = 2;
/** Flags of a daemon; systemd's unit and pm2's file give the same. */
const FLAGS = [
  // V8 lets the heap of a busy daemon grow to ten times what it holds; a small server needs the memory more than the few per cent of speed.
  '--max-semi-space-size=16',
  '--heap-growing-percent=40',
  // From the usual megabyte a start would collect garbage a dozen times before the space has grown.
  '--min-semi-space-size=4',
  // npm puts packages in place and links none: a start need not ask of each of 1,300 modules where it really lies.
  '--preserve-symlinks',
];
/** The C library keeps what threads have freed in pools, up to eight for each core: with two a daemon that catches up holds a tenth less. */
const POOLS = { MALLOC_ARENA_MAX: '2' };
const project = fileURLToPath(new URL('..', import.meta.url));
const bundled = fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url));

if (!existsSync(new URL('../node_modules', import.meta.url))) {
  fail(`agrinet: its dependencies are missing. Run \`npm ci\` in ${project}`);
} else if (major(process.version) >= NEEDED) {
  if (process.argv[2] === 'start') beginWithFlags();
  keepCompiled();
  await import('./cli.ts');
} else if (
  existsSync(bundled) &&
  major(spawnSync(bundled, ['--version'], { encoding: 'utf8' }).stdout) >= NEEDED
) {
  handOver();
} else {
  fail(
    `agrinet: needs Node.js ${NEEDED} or later, this is ${process.version}. Run \`npm ci\` in ${project}, which brings one along.`,
  );
}

/** The flags must be there when the process starts: it begins again in place, under the same pid. */
function beginWithFlags() {
  // Where another package manager has linked packages, they are looked up where they really lie.
  const linked = lstatSync(new URL('../node_modules/hono', import.meta.url)).isSymbolicLink();
  const flags = linked ? FLAGS.filter((flag) => flag !== '--preserve-symlinks') : FLAGS;
  if (flags.every((flag) => process.execArgv.includes(flag)) || process.execve === undefined) return;
  // Descriptors that the service manager passed on would be lost on the way; its unit gives the flags.
  if (Number(process.env.LISTEN_PID) === process.pid) return;
  process.execve(
    process.execPath,
    [
      process.execPath,
      ...flags,
      ...process.execArgv,
      fileURLToPath(import.meta.url),
      ...process.argv.slice(2),
    ],
    { ...POOLS, ...process.env },
  );
}

/**
 * What V8 has compiled serves the next start too, which then takes a third less CPU. It is kept in this user's own cache folder and
 * nowhere else: whoever can write there decides what runs here. `NODE_COMPILE_CACHE` names another; Node.js itself sees to that.
 */
function keepCompiled() {
  const {
    HOME: home = '',
    XDG_CACHE_HOME: cache = join(home, '.cache'),
    NODE_COMPILE_CACHE: named,
  } = process.env;
  if (named !== undefined || !isAbsolute(home) || !isAbsolute(cache)) return;
  try {
    // With sudo, HOME may still be that of somebody else, who could not write to the folder afterwards.
    if (statSync(home).uid !== process.getuid?.()) return;
    const folder = join(cache, 'agrinet');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { uid, mode } = statSync(folder);
    if (uid !== process.getuid?.() || (mode & 0o022) !== 0) return;
    module.enableCompileCache(folder);
    process.env.NODE_COMPILE_CACHE = folder; // for the threads: each one turns it on for itself
  } catch {
    // Without such a folder it is compiled anew.
  }
}

/** @param {string | null} version */
function major(version) {
  return Number(/^v(\d+)\./.exec(version ?? '')?.[1] ?? 0);
}

/** @param {string} message */
function fail(message) {
  console.error(message);
  process.exitCode = USAGE;
}

/** Runs this program with the Node.js that npm brought, passes signals on, and ends as it ended. */
function handOver() {
  const child = spawn(bundled, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  // Ctrl-C and a closing terminal reach the child by themselves; a second signal would make it stop at once.
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGHUP', 'SIGTERM'])) {
    process.on(signal, () => {
      if (signal === 'SIGTERM' || !onTerminal) child.kill(signal);
    });
  }
  child.on('error', (error) => fail(`agrinet: cannot run ${bundled}: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (signal === null) {
      process.exitCode = code ?? 1;
      return;
    }
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
