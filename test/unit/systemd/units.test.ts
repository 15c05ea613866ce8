import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it, test } from 'vitest';
import { lastingExitCodes } from '../../../daemon/exit-codes.ts';
import { settingsExample } from '../../../daemon/settings.ts';
import { SETTINGS } from '../../../daemon/settings-table.ts';

const text = (name: string): string =>
  readFileSync(new URL(`../../../systemd/${name}`, import.meta.url), 'utf8');
const UNITS = ['agrinetd.service', 'agrinet-worker@.service', 'agrinet-sync.service', 'agrinet-sync.timer'];
/** Of the daemon: what only the command line asks for is typed by whoever runs it. */
const secrets: string[] = Object.values(SETTINGS).flatMap((each) =>
  'secret' in each && each.section !== 'Command line' ? [each.env] : [],
);

/** Every value that a unit gives to a directive. */
function values(unit: string, directive: string): string[] {
  return text(unit)
    .split('\n')
    .flatMap((line) => (line.startsWith(`${directive}=`) ? [line.slice(directive.length + 1)] : []));
}

test.each(UNITS)('%s: a reason stands above each directive', (unit) => {
  let before = '';
  const bare: string[] = [];
  for (const line of text(unit).split('\n')) {
    // Secrets come in pairs under one reason.
    const paired = /^(Load|Set)Credential=/.test(line) && /^((Load|Set)Credential=|#)/.test(before);
    if (/^\w+=/.test(line) && !before.startsWith('#') && !paired) bare.push(line);
    before = line;
  }
  expect(bare).toEqual([]);
  expect(text(unit)).toMatch(/^\w+=/m);
});

test.each(['agrinetd.service', 'agrinet-worker@.service'])(
  '%s: no restart after an exit code that a restart cannot mend, as the table has them',
  (unit) => {
    expect(values(unit, 'RestartPreventExitStatus').join(' ').split(' ').map(Number)).toEqual(
      lastingExitCodes(),
    );
    expect(lastingExitCodes()).toContain(64);
    expect(lastingExitCodes()).not.toContain(1);
  },
);

test('PM2 leaves the same codes alone, and 0', () => {
  const { apps } = createRequire(import.meta.url)('../../../systemd/ecosystem.config.cjs') as {
    apps: { stop_exit_codes: number[] }[];
  };
  for (const { stop_exit_codes } of apps) expect(stop_exit_codes).toEqual([0, ...lastingExitCodes()]);
  expect(apps).toHaveLength(2);
});

describe('agrinetd.service', () => {
  it('takes every secret setting as a credential, each with a blank in the place of a file that is missing', () => {
    const loaded = values('agrinetd.service', 'LoadCredential').map((each) => each.split(':')[0]);
    expect(loaded.toSorted()).toEqual([...secrets, 'aws'].toSorted());
    expect(values('agrinetd.service', 'SetCredential')).toEqual(loaded.map((name) => `${name}:\\n`));
  });
});

test('systemd and PM2 bound the pools of the C library as agrinet.mjs does', () => {
  const [, most = ''] =
    /^const POOLS = \{ MALLOC_ARENA_MAX: '(\d+)' \};$/m.exec(text('../daemon/agrinet.mjs')) ?? [];
  expect(most).not.toBe('');
  expect(values('agrinetd.service', 'Environment')).toContain(`MALLOC_ARENA_MAX=${most}`);
  const { apps } = createRequire(import.meta.url)('../../../systemd/ecosystem.config.cjs') as {
    apps: { name: string; env: Record<string, string> }[];
  };
  expect(apps.find(({ name }) => name === 'agrinetd')?.env).toMatchObject({ MALLOC_ARENA_MAX: most });
});

test('systemd and PM2 give Node.js the flags with which agrinet.mjs would begin again', () => {
  const [, list = ''] = /^const FLAGS = \[([^\]]*)\];$/m.exec(text('../daemon/agrinet.mjs')) ?? [];
  const wanted = [...list.matchAll(/^ {2}'(.*)',$/gm)].map(([, flag]) => flag);
  expect(wanted).toContain('--max-semi-space-size=16');
  const given = (line = ''): string[] => line.split(' ').filter((each) => each.startsWith('--'));
  expect(given(values('agrinetd.service', 'ExecStart')[0])).toEqual(wanted);
  const { apps } = createRequire(import.meta.url)('../../../systemd/ecosystem.config.cjs') as {
    apps: { name: string; interpreter_args?: string }[];
  };
  expect(given(apps.find(({ name }) => name === 'agrinetd')?.interpreter_args)).toEqual(wanted);
});

test('agrinetd.env shows the settings as the table has them, all of them commented out', () => {
  expect(text('agrinetd.env')).toBe(settingsExample());
  expect(text('agrinetd.env')).not.toMatch(/^[^#\n]/m);
  for (const { env } of Object.values(SETTINGS))
    expect(text('agrinetd.env')).toMatch(
      new RegExp(secrets.includes(env) ? `^#   ${env}$` : `\\b${env}\\b`, 'm'),
    );
});
