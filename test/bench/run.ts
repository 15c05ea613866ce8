/**
 * `npm run bench [-- --quick] [--only name] [--with name] [--prices file] [--json file] [--save]`: the raw parts, agrinetd and the
 * alternatives in turn, five rounds of all of them, and the medians. Each part is a process of its own. `--with` adds what takes long;
 * `--save` keeps the picture that this folder's README shows.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { arch, cpus, release } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import chalk from 'chalk';
import { listingRecords, pricesFile } from './listings.ts';
import { quantile, temporaryFolder, type PartResult } from './measure.ts';
import { picture, short } from './picture.ts';
import { svg } from './svg.ts';
import { isMet, RATIOS, valueOf } from './targets.ts';

const RECORDS = 12_000;
const HERE = fileURLToPath(new URL('.', import.meta.url));
const MINUTES = 60_000;

interface Part {
  name: string;
  script: string;
  args: string[];
  timeoutMs: number;
  /** Only when it is asked for by `--with` or `--only`. */
  isExtra?: boolean;
  /** Once is enough. */
  isOnce?: boolean;
}

const raw = (name: string): Part => ({
  name: `raw ${name}`,
  script: 'raw.ts',
  args: [name],
  timeoutMs: 2 * MINUTES,
});
const peer = (name: string, script: string, args: string[] = [], isExtra = true): Part => ({
  name,
  script: `peers/${script}.mjs`,
  args,
  timeoutMs: 5 * MINUTES,
  isExtra,
});
const PARTS: readonly Part[] = [
  ...['leveldb', 'ed25519', 'automerge', 'codec', 'echo'].map(raw),
  { name: 'agrinetd', script: 'agrinetd.ts', args: [], timeoutMs: 20 * MINUTES },
  { name: 'http', script: 'http.ts', args: [], timeoutMs: 10 * MINUTES },
  peer('hypercore', 'hypercore', [], false),
  peer('hypercore 64', 'hypercore', ['--per-block', '64'], false),
  peer('automerge-repo', 'automerge-repo', ['--count', '2000']),
  peer('yjs', 'yjs'),
  { name: 'million', script: 'million.ts', args: [], timeoutMs: 40 * MINUTES, isExtra: true, isOnce: true },
];

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    only: { type: 'string', multiple: true },
    with: { type: 'string', multiple: true },
    save: { type: 'boolean' },
    prices: { type: 'string' },
    json: { type: 'string' },
  },
});
const rounds = values.quick === true ? 1 : 5;
const names = (some: (part: Part) => boolean): string => {
  const matching = PARTS.filter(some);
  return matching.map(({ name }) => name).join(', ');
};
const isNamed = (name: string, by: readonly string[] | undefined): boolean =>
  by?.some((some) => name.includes(some)) ?? false;
const chosen = PARTS.filter(({ name, isExtra = false }) =>
  values.only === undefined ? !isExtra || isNamed(name, values.with) : isNamed(name, values.only),
);
if (chosen.length === 0) usage(`--only matches none of: ${names(() => true)}`);
const strange = values.with?.find((some) => !chosen.some(({ name }) => name.includes(some)));
if (strange !== undefined)
  usage(`--with ${strange} matches none of: ${names(({ isExtra = false }) => isExtra)}`);
if (values.save === true && (values.quick === true || values.only !== undefined))
  usage('--save takes a whole run, without --quick and --only');
const measured = chosen.filter((part) => !isPeer(part) || existsSync(join(HERE, 'peers/node_modules')));
for (const part of chosen) {
  if (!measured.includes(part)) console.log(`${part.name}: not installed; npm ci --prefix test/bench/peers`);
}

const folder = temporaryFolder('records');
const samples = new Map<string, number[]>();
const notes = new Set<string>();
let stopped = false;
process.once('SIGINT', () => {
  stopped = true; // the parts got the signal too, from the terminal
});
const prices = pricesFile(values.prices);
const records = join(folder.path, 'listings.ndjson');
const listings = listingRecords(prices, RECORDS);
writeFileSync(records, `${listings.map((listing) => JSON.stringify(listing)).join('\n')}\n`);
const how = rounds === 1 ? 'one round (--quick: single figures, no medians)' : `medians of ${rounds} rounds`;
console.log(`${RECORDS.toLocaleString('en-US')} listings of ${prices.split('/').at(-1)}, ${how}`);
for (let round = 1; round <= rounds && !stopped; round += 1) {
  for (const part of measured) {
    if (!stopped && (part.isOnce !== true || round === rounds)) await measure(part, round);
  }
}
folder.close();

const figures = new Map([...samples].map(([key, each]) => [key, quantile(each, 0.5)]));
console.log(`\n${picture(figures)}`);
for (const note of notes) console.log(chalk.yellow(`note: ${note}`));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(document(), null, 2)}\n`);
if (values.save === true && !stopped) writeFileSync(join(HERE, 'results.svg'), svg(figures, how));
if (stopped) process.exitCode = 130;

function usage(message: string): never {
  console.error(message);
  process.exit(2);
}

async function measure(part: Part, round: number): Promise<void> {
  const label = `[${round}/${rounds}] ${part.name}`;
  const started = Date.now();
  try {
    const result = await runPart(part, round, (line) => show(`${label}: ${line}`));
    for (const note of result.notes) notes.add(`${part.name}: ${note}`);
    for (const [key, value] of Object.entries(result.metrics)) {
      const name = `${part.name}.${key}`;
      samples.set(name, [...(samples.get(name) ?? []), value]);
    }
    const some = Object.entries(result.metrics).map(([key, value]) => `${key} ${short(value)}`);
    clear();
    console.log(`${label} (${((Date.now() - started) / 1000).toFixed(0)} s): ${some.join(', ')}`);
  } catch (error) {
    clear();
    notes.add(`${part.name}: ${error instanceof Error ? error.message : String(error)}`);
    console.log(`${label}: failed`);
  }
}

async function runPart(part: Part, round: number, onProgress: (line: string) => void): Promise<PartResult> {
  // The 200,000 take minutes, and memory hardly varies: once is enough.
  const large = part.name === 'agrinetd' && values.quick !== true && round === rounds ? ['--large'] : [];
  const args = [join(HERE, part.script), ...part.args, '--records', records, ...large];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let lastWords = '';
  createInterface(child.stderr).on('line', (line) => {
    if (/error/i.test(line) && !/error/i.test(lastWords)) lastWords = line.trim();
    else if (lastWords === '') lastWords = line.trim();
    onProgress(line);
  });
  const timer = setTimeout(() => child.kill(), part.timeoutMs);
  const exit = once(child, 'exit');
  const output = await text(child.stdout);
  const [code, signal] = await exit;
  clearTimeout(timer);
  const last = output.trimEnd().split('\n').at(-1) ?? '';
  if (code !== 0 || last === '') throw new Error(`ended with ${String(code ?? signal)}: ${lastWords}`);
  return JSON.parse(last) as PartResult; // printed by `report`
}

function isPeer(part: Part): boolean {
  return part.script.startsWith('peers/');
}

function show(line: string): void {
  if (!process.stdout.isTTY) return;
  clear();
  process.stdout.write(chalk.dim(line.slice(0, process.stdout.columns - 1)));
}

function clear(): void {
  if (process.stdout.isTTY) process.stdout.write('\r\u001b[K');
}

function document(): Record<string, unknown> {
  return {
    at: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model,
      cores: cpus().length,
      arch: arch(),
      kernel: release(),
      node: process.version,
    },
    records: RECORDS,
    rounds,
    medians: Object.fromEntries(figures),
    samples: Object.fromEntries(samples),
    ratios: RATIOS.map((ratio) => {
      const value = valueOf(ratio, figures);
      return { ...ratio, value: value ?? null, met: isMet(ratio, value) ?? null };
    }),
    notes: [...notes],
  };
}
