import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exitCodeFor } from '../../daemon/exit-codes.ts';
import { agrinetHere } from '../support/cli.ts';
import { compileCache } from '../support/compile-cache.ts';
import { startNode, TEST_KEY, type TestNode } from '../support/in-process-node.ts';
import { type Served, serveNode } from '../support/served-node.ts';
import { tempDir } from '../support/temp-dir.ts';

/** What the command line says by its exit code, as a shell script sees it. A node in this process answers. */
const BIN = fileURLToPath(new URL('../../daemon/agrinet.mjs', import.meta.url));
const dir = tempDir('cli-output');
let node: TestNode;
let served: Served;

beforeAll(async () => {
  node = await startNode(join(dir.path, 'data'));
  served = await serveNode(node);
});
afterAll(async () => {
  served.close();
  await node.stop();
  dir.remove();
});

/** Runs a line of bash in which `agrinet` is the command line. */
async function bash(line: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const script = `agrinet() { "${process.execPath}" "${BIN}" "$@"; }; cd "${dir.path}"; ${line}`;
  const child = spawn('bash', ['-c', script], {
    env: { PATH: process.env['PATH'] ?? '', ...compileCache(), BACKEND_URL: served.url, API_KEY: TEST_KEY },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000, // a bound: what hangs is to fail
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** The names of what stands below a command, from its help. */
async function commandsOf(...words: string[]): Promise<string[]> {
  const { stdout } = await agrinetHere(undefined, [...words, '--help']);
  const [, list = ''] = stdout.split('\nCommands:\n');
  return [...list.matchAll(/^ {2}([a-z][a-z-]*)/gm)]
    .map(([, name = '']) => name)
    .filter((name) => name !== 'help');
}

describe('a usage error', () => {
  test('of any command, at any depth, is told in a line and has its exit code', async () => {
    const all: string[][] = [];
    for (const name of await commandsOf())
      all.push([name], ...(await commandsOf(name)).map((each) => [name, each]));
    expect(all.length).toBeGreaterThan(50);
    const wrong: string[] = [];
    for (const words of all)
      for (const more of [['--no-such-option'], ['one', 'two', 'three']]) {
        const { code, stdout: said, stderr } = await agrinetHere(undefined, [...words, ...more]);
        const isTold = /^agrinet: [^\n]+; run: agrinet( [a-z-]+)* --help\n$/.test(stderr);
        if (code !== exitCodeFor('usage') || said !== '' || !isTold)
          wrong.push(`${[...words, ...more].join(' ')}: ${code} ${stderr}`);
      }
    expect(wrong).toEqual([]);
  });

  test.each([
    ['statu', "unknown command 'statu' (did you mean status?); run: agrinet --help"],
    ['nodes foo', "unknown command 'foo'; run: agrinet nodes --help"],
    ['users foo', "unknown command 'foo'; run: agrinet users --help"],
    [
      'users list foo',
      "too many arguments for 'list'. Expected 0 arguments but got 1; run: agrinet users list --help",
    ],
    ['keys revoke', "missing required argument 'id'; run: agrinet keys revoke --help"],
    ['start --bad', "unknown option '--bad'; run: agrinet start --help"],
    ['import --user', "option '--user <seller>' argument missing; run: agrinet import --help"],
  ])('of agrinet %s says what was wrong and names the help that has more', async (line, told) => {
    const { code, stderr } = await agrinetHere(undefined, line.split(' '));
    expect([code, stderr]).toEqual([exitCodeFor('usage'), `agrinet: ${told}\n`]);
  });
});

describe('what is printed into a full device', () => {
  test.each(['', '--json'])(
    'a key that nobody could read is revoked, and the exit code says so %s',
    async (json) => {
      const { code, stderr } = await bash(`agrinet keys issue --user amina ${json} >/dev/full`);
      expect(code).toBe(exitCodeFor('output-failed'));
      expect(stderr).toMatch(/ENOSPC.*was not shown and has been revoked/);
      const { keys } = await node.context.keys.list({ limit: 50 });
      expect(keys.filter(({ state }) => state === 'active')).toEqual([]);
    },
  );

  test('the successor of a rotated key is revoked, the old one stays and is named', async () => {
    const { id } = await node.context.keys.issue({ userId: 'ben' });
    const { code, stderr } = await bash(`agrinet keys rotate ${id} >/dev/full`);
    expect(code).toBe(exitCodeFor('output-failed'));
    expect(stderr).toContain(`The old key, ${id}, remains valid until`);
    const { keys } = await node.context.keys.list({ userId: 'ben', limit: 50 });
    expect(keys.map(({ id, state }) => [id, state])).toEqual([
      [expect.not.stringContaining(id), 'revoked'],
      [id, 'active'],
    ]);
  });

  test.each(['keys list', 'status', 'digest --json', '--help', '--version'])(
    'agrinet %s does not end with 0',
    async (command) => {
      const { code, stderr } = await bash(`agrinet ${command} >/dev/full`);
      expect([code, stderr]).toEqual([exitCodeFor('output-failed'), expect.stringContaining('ENOSPC')]);
    },
  );

  test('a reader that goes early is no success; a slow one gets everything', async () => {
    const gone = await bash('mkfifo q; (exec 3<q; exec 3<&-) & agrinet digest >q');
    expect([gone.code, gone.stderr]).toEqual([
      exitCodeFor('output-failed'),
      expect.stringContaining('EPIPE'),
    ]);
    const [slow, whole] = [
      await bash('agrinet start --help | (sleep 0.3; wc -c)'),
      await bash('agrinet start --help'),
    ];
    expect(Number(slow.stdout)).toBe(Buffer.byteLength(whole.stdout));
  });
});

describe('import', () => {
  const HEAD =
    'date,admin1,admin2,market,latitude,longitude,category,commodity,unit,priceflag,pricetype,currency,price,usdprice';
  const row = (price: string): string =>
    `2026-10-15,Coast,Mombasa,Mombasa,-4.05,39.666667,cereals and tubers,Maize,KG,actual,Wholesale,KES,${price},0.1`;
  const write = (name: string, ...rows: string[]): void =>
    writeFileSync(join(dir.path, name), `${[HEAD, ...rows].join('\n')}\n`);

  test('says by its exit code that rows were refused, that all were, or that no region matched', async () => {
    write('good.csv', row('60'));
    write('mixed.csv', row('61'), row('dear'));
    write('bad.csv', row('dear'), row('dearer'));
    const codes = await Promise.all(
      ['good.csv', 'mixed.csv', 'bad.csv', 'good.csv --region Nowhere', 'good.csv --region coast'].map(
        async (args) => (await bash(`agrinet import ${args}`)).code,
      ),
    );
    expect(codes).toEqual(
      ['ok', 'rows-refused', 'request-refused', 'nothing-matched', 'ok'].map(exitCodeFor),
    );
  });

  test.each([
    ['a FIFO', 'mkfifo p; (cat good.csv >p &) ; agrinet import p'],
    ['a process substitution', 'agrinet import <(cat good.csv)'],
    ['/dev/stdin', 'cat good.csv | agrinet import /dev/stdin'],
    ['standard input from a file', 'agrinet import /dev/stdin <good.csv'],
    ['-', 'cat good.csv | agrinet import -'],
  ])('reads %s', async (_, line) => {
    if (!existsSync(join(dir.path, 'good.csv'))) write('good.csv', row('60'));
    const { code, stdout, stderr } = await bash(line);
    expect([code, stdout, stderr]).toEqual([0, expect.stringMatching(/prices: \d created/), '']);
  });

  test.each([
    ['a folder', '.'],
    ['what is not there', 'nothing.csv'],
  ])('refuses %s', async (_, file) => {
    expect((await bash(`agrinet import ${file}`)).code).toBe(exitCodeFor('usage'));
  });
});
