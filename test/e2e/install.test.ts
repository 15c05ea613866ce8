import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { addSystem, analyzeLacking, install, INSTALLER } from '../support/staged.ts';
import { tempDir } from '../support/temp-dir.ts';

const UNITS = ['agrinetd.service', 'agrinet-worker@1.service', 'agrinet-sync.service', 'agrinet-sync.timer'];
/** What `systemd-analyze security` may show at most, in tenths. */
const EXPOSURE = 11;
const lacking = analyzeLacking();
const shellcheck = spawnSync('shellcheck', ['--version']).error === undefined;

let dir: ReturnType<typeof tempDir>;
beforeEach(() => {
  process.umask(0o022); // an administrator's, whatever other tests have set
  dir = tempDir('install');
});
afterEach(() => dir.remove());

const at = (...path: string[]): string => join(dir.path, ...path);
const mode = (...path: string[]): string => (statSync(at(...path)).mode & 0o777).toString(8);
const read = (...path: string[]): string => readFileSync(at(...path), 'utf8');

/** Loads every package that the project names, and the daemon; packages for browsers are read as the files that pages load. */
const LOAD_ALL = `
  import { readFileSync } from 'node:fs';
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
  const forBrowsers = ['htmx.org', 'leaflet', 'topojson-client', 'uplot', 'world-atlas'];
  for (const name of Object.keys(dependencies)) if (!forBrowsers.includes(name)) await import(name);
  const { assetBytes } = await import(process.cwd() + '/api/pages/assets.ts');
  if (Object.values(await assetBytes('gzip')).some((bytes) => bytes < 50)) throw new Error('an empty file');
  await import(process.cwd() + '/daemon/daemon.ts');
  console.log('loaded');
  process.exit(0);
`;

describe('install.sh --root', () => {
  it(
    'installs into an empty folder, again over it, and takes away all but settings, keys and data',
    { timeout: 240_000 },
    async () => {
      const first = await install(['--root', dir.path]);
      expect(first).toMatchObject({ code: 0, stderr: '' });
      const key = read('var/lib/agrinet/api-key').trim();
      expect(key).toMatch(/^[\w-]{43}$/);
      expect(first.stdout).toContain('/var/lib/agrinet/api-key');
      expect(first.stdout, 'where it stands, not what it is').not.toContain(key);
      expect([mode('var/lib/agrinet'), mode('var/lib/agrinet/api-key')]).toEqual(['700', '600']);
      expect([
        mode('etc/agrinet'),
        mode('etc/agrinet/agrinetd.env'),
        mode('etc/agrinet/credentials'),
      ]).toEqual(['750', '640', '700']);
      for (const name of [
        'agrinetd.service',
        'agrinet-worker@.service',
        'agrinet-sync.service',
        'agrinet-sync.timer',
      ])
        expect(mode('etc/systemd/system', name)).toBe('644');
      expect(existsSync(at('etc/systemd/system/multi-user.target.wants/agrinetd.service'))).toBe(true);
      const version = spawnSync(at('opt/agrinet/node_modules/.bin/node'), [
        at('opt/agrinet/daemon/agrinet.mjs'),
        '--version',
      ]);
      expect(version.stdout.toString().trim()).toBe('0.1.0');
      for (const name of ['vitest', 'typescript', 'oxlint'])
        expect(existsSync(at('opt/agrinet/node_modules', name)), name).toBe(false);
      // Without what nothing that runs reads; each module that is used is there and loads.
      const unread = spawnSync(
        'find',
        ['.', '-name', '*.map', '-o', '-name', '*.ts', '-o', '-path', './node-linux-*/include'],
        {
          cwd: at('opt/agrinet/node_modules'),
          encoding: 'utf8',
        },
      );
      expect(unread.stdout).toBe('');
      const loaded = spawnSync(
        at('opt/agrinet/node_modules/.bin/node'),
        ['--input-type=module', '--eval', LOAD_ALL],
        { cwd: at('opt/agrinet'), encoding: 'utf8' },
      );
      expect(loaded).toMatchObject({ status: 0, stderr: '', stdout: 'loaded\n' });

      writeFileSync(at('etc/agrinet/agrinetd.env'), 'PORT=5001\n');
      writeFileSync(at('var/lib/agrinet/identity.json'), 'precious');
      const [before] = readdirSync(at('opt/agrinet-releases'));
      const second = await install(['--root', dir.path]);
      expect(second).toMatchObject({ code: 0, stderr: '' });
      const after = readdirSync(at('opt/agrinet-releases'));
      expect(after).toHaveLength(1);
      expect(after[0]).not.toBe(before);
      expect(lstatSync(at('opt/agrinet')).isSymbolicLink()).toBe(true);
      expect(read('etc/agrinet/agrinetd.env')).toBe('PORT=5001\n');
      expect(read('var/lib/agrinet/api-key').trim()).toBe(key);

      const gone = await install(['--root', dir.path, '--uninstall']);
      expect(gone).toMatchObject({ code: 0, stderr: '' });
      expect(gone.stdout).toMatch(/var\/lib\/agrinet.*etc\/agrinet/);
      const left = spawnSync('find', ['.', '-type', 'f', '-o', '-type', 'l'], {
        cwd: dir.path,
        encoding: 'utf8',
      });
      expect(left.stdout.trim().split('\n').toSorted()).toEqual([
        './etc/agrinet/agrinetd.env',
        './var/lib/agrinet/api-key',
        './var/lib/agrinet/identity.json',
      ]);
      expect(await install(['--root', dir.path, '--uninstall'])).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^install\.sh: agrinetd is not installed in .*\n$/),
      });
    },
  );

  it(
    'of a clone that its owner alone may read: the service may; what a killed installation left goes',
    { timeout: 240_000 },
    async () => {
      const project = join(INSTALLER, '../..');
      const script =
        'umask 077; mkdir "$1"; git -C "$2" archive HEAD | tar x --no-same-permissions -C "$1"; cp "$2/systemd/install.sh" "$1/systemd/"';
      spawnSync('sh', ['-c', script, 'sh', at('a clone'), project]);
      symlinkSync(join(project, 'node_modules'), at('a clone/node_modules'));
      mkdirSync(at('a root/opt/agrinet-releases/.new-killed/daemon'), { recursive: true });
      expect(mode('a clone/daemon/cli.ts')).toBe('600');
      expect(await install(['--root', at('a root')], {}, at('a clone/systemd/install.sh'))).toMatchObject({
        code: 0,
        stderr: '',
      });
      const closed = ['-not', '-type', 'l', '-not', '-perm', '-004'];
      const { stdout } = spawnSync('find', [at('a root/opt'), ...closed], { encoding: 'utf8' });
      expect(stdout, 'closed to the user agrinet').toBe('');
      expect([mode('a root/opt/agrinet/daemon'), mode('a root/opt/agrinet/daemon/cli.ts')]).toEqual([
        '755',
        '644',
      ]);
      expect(readdirSync(at('a root/opt/agrinet-releases'))).toEqual([expect.stringMatching(/^0\.1\.0-/)]);
    },
  );

  it.each([
    ['a folder that is not there', ['--root', '/nonexistent'], /is not a folder/],
    ['an option it does not know', ['--purge'], /unknown option --purge/],
    ['a folder without a name', ['--root'], /--root needs a folder/],
  ])('%s: one line', async (_, args, message) => {
    const { code, stderr } = await install(args);
    expect([code, stderr.trim().split('\n').length]).toEqual([1, 1]);
    expect(stderr).toMatch(message);
  });

  it('another processor: one line, and nothing was begun', async () => {
    mkdirSync(at('bin'));
    writeFileSync(at('bin/uname'), '#!/bin/sh\n[ "$1" = -m ] && echo riscv64 || exec /bin/uname "$@"\n', {
      mode: 0o755,
    });
    mkdirSync(at('root'));
    const { code, stderr } = await install(['--root', at('root')], {
      PATH: `${at('bin')}:${process.env['PATH'] ?? ''}`,
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^install\.sh: the processor is riscv64; .*\n$/);
    expect(readdirSync(at('root'))).toEqual([]);
  });

  it('a project without its dependencies, and no npm: one line, and nothing but empty folders', async () => {
    spawnSync('sh', [
      '-c',
      'mkdir "$1" && git -C "$2" archive HEAD | tar x -C "$1"',
      'sh',
      at('clone'),
      join(INSTALLER, '../..'),
    ]);
    mkdirSync(at('root'));
    mkdirSync(at('bin'));
    for (const name of [
      'sh',
      'dirname',
      'basename',
      'mkdir',
      'mktemp',
      'cp',
      'rm',
      'rmdir',
      'tail',
      'uname',
      'id',
      'sed',
    ])
      spawnSync('sh', ['-c', `ln -s "$(command -v ${name})" "$1/"`, 'sh', at('bin')]);
    const { code, stderr } = await install(
      ['--root', at('root')],
      { PATH: at('bin') },
      at('clone/systemd/install.sh'),
    );
    expect(stderr).toMatch(
      /^install\.sh: there is no node_modules folder, and there is no npm to fetch it\. Run `npm ci` .*\n$/,
    );
    expect(code).toBe(1);
    expect(spawnSync('find', [at('root'), '-not', '-type', 'd'], { encoding: 'utf8' }).stdout).toBe('');
    expect(existsSync(at('root/opt/agrinet-releases'))).toBe(false);
  });

  it('a folder of somebody else in its place: left alone', async () => {
    mkdirSync(at('opt/agrinet'), { recursive: true });
    const { code, stderr } = await install(['--root', dir.path]);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/was not made by this installer; move it away/),
    ]);
    expect(readdirSync(at('opt'))).toEqual(['agrinet']);
  });
});

describe.skipIf(lacking !== undefined)(
  `the units${lacking === undefined ? '' : ` [skipped: ${lacking}]`}`,
  () => {
    it('are clean to systemd-analyze verify in a staged folder', { timeout: 120_000 }, async () => {
      expect(await install(['--root', dir.path])).toMatchObject({ code: 0 });
      addSystem(dir.path);
      const { status, stdout, stderr } = spawnSync(
        'systemd-analyze',
        ['verify', `--root=${dir.path}`, '--man=no', ...UNITS],
        {
          encoding: 'utf8',
        },
      );
      expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' });
    });

    it.each(['agrinetd.service', 'agrinet-worker@.service', 'agrinet-sync.service'])(
      `%s: exposure at most ${EXPOSURE / 10} to systemd-analyze security`,
      (unit) => {
        const { status, stdout, stderr } = spawnSync(
          'systemd-analyze',
          [
            'security',
            '--offline=true',
            '--no-pager',
            `--threshold=${EXPOSURE}`,
            join(INSTALLER, '..', unit),
          ],
          { encoding: 'utf8' },
        );
        const line = /Overall exposure level for \S+ \d\.\d/.exec(stdout)?.[0];
        console.log(line);
        expect([status, line, stderr]).toEqual([0, expect.stringContaining('Overall exposure level'), '']);
      },
    );
  },
);

test.skipIf(!shellcheck)(
  `the shell scripts are clean to shellcheck${shellcheck ? '' : ' [skipped: no shellcheck here; install it with: apt-get install shellcheck]'}`,
  () => {
    const scripts = ['install.sh', 'agrinet'].map((name) => join(INSTALLER, '..', name));
    const campaigns = join(INSTALLER, '../../test/e2e');
    const found = readdirSync(campaigns).flatMap((name) =>
      name.endsWith('.sh') ? [join(campaigns, name)] : [],
    );
    const { status, stdout } = spawnSync('shellcheck', [...scripts, ...found], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  },
);
