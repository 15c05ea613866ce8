import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { errorCode } from '../../../protocols/errors.ts';
import { exitCodeFor, exitCodeTable } from '../../../daemon/exit-codes.ts';
import {
  isLoopbackHost,
  loadSettings,
  settingProblems,
  settingsTable,
  strayNames,
} from '../../../daemon/settings.ts';
import { SETTINGS } from '../../../daemon/settings-table.ts';
import { withSecretFiles } from '../../../daemon/secrets.ts';
import { compileCache } from '../../support/compile-cache.ts';
import { tempDir } from '../../support/temp-dir.ts';

const agrinet = fileURLToPath(new URL('../../../daemon/agrinet.mjs', import.meta.url));

function failure(env: Record<string, string>): Error {
  try {
    loadSettings(env);
  } catch (error) {
    if (error instanceof Error && errorCode(error) === 'settings-invalid') return error;
    throw error;
  }
  throw new Error('the settings were taken');
}

describe('loadSettings', () => {
  test('has a default for everything but what may be absent', () => {
    expect(loadSettings({})).toEqual({
      port: 5000,
      host: '127.0.0.1',
      publicUrl: undefined,
      apiKey: undefined,
      publicReads: true,
      allowPrivatePeers: false,
      region: 'unspecified',
      contactEmail: undefined,
      myceliumNodeName: undefined,
      checkpointDays: 7,
      noticeWebhookUrls: [],
      myceliumPort: 7000,
      myceliumHost: '127.0.0.1',
      myceliumAnnounce: [],
      myceliumPeers: [],
      myceliumPeerUrls: [],
      myceliumNetwork: 'agrinet',
      myceliumPskFile: undefined,
      myceliumMdns: false,
      myceliumPeerExchange: true,
      myceliumRelay: false,
      myceliumTargetDegree: 8,
      myceliumStrangerSlots: 16,
      dataDir: resolve('data'),
      authorQuotaMb: 512,
      attachmentQuotaMb: 1024,
      authorQuotaPending: 50_000,
      diskReserveMb: 64,
      logLevel: 'info',
      mirror: 'auto',
      backendUrl: 'http://127.0.0.1:5000',
      rateLimit: 1000,
      corsOrigins: [],
      trendSnapshotHours: 24,
      priceSignalMinTrades: 5,
      trustProxy: false,
      tlsCertFile: undefined,
      tlsKeyFile: undefined,
      jwtSecret: undefined,
      jwtSecretPrevious: undefined,
      previousSecretsUntil: undefined,
      oauthIssuer: undefined,
      oauthAudience: undefined,
      redisUrl: undefined,
      syncIntervalMinutes: 30,
      federationWebhookUrls: [],
      federationWebhookSecret: undefined,
      federationWebhookSecretPrevious: undefined,
      twilioAccountSid: undefined,
      smsAcceptLimit: [],
      smsDailyLimit: 30,
      smsDailyLimitPerNode: 10,
      twilioApiUrl: 'https://api.twilio.com',
      twilioAuthToken: undefined,
      twilioSmsNumber: undefined,
    });
  });

  test('reads numbers, switches, lists and URLs', () => {
    const settings = loadSettings({
      PORT: '0',
      PUBLIC_READS: 'off',
      MYCELIUM_PEERS: ' /ip4/10.0.0.1/tcp/7000 , /dns4/a.example/tcp/7000,',
      PUBLIC_URL: 'https://node.example.org/',
      DATA_DIR: '/var/lib/agrinet',
    });
    expect(settings).toMatchObject({
      port: 0,
      publicReads: false,
      myceliumPeers: ['/ip4/10.0.0.1/tcp/7000', '/dns4/a.example/tcp/7000'],
      publicUrl: 'https://node.example.org',
      dataDir: '/var/lib/agrinet',
    });
  });

  test('an empty variable is unset', () => {
    expect(loadSettings({ PORT: '', API_KEY: ' ', MYCELIUM_PEERS: '' })).toEqual(loadSettings({}));
  });

  test('Mycelium listens where HTTP does, if that is an address', () => {
    expect(loadSettings({ HOST: '0.0.0.0' }).myceliumHost).toBe('0.0.0.0');
    expect(loadSettings({ HOST: 'localhost' }).myceliumHost).toBe('127.0.0.1');
    expect(loadSettings({ HOST: '127.0.0.1', MYCELIUM_HOST: '::' }).myceliumHost).toBe('::');
  });

  test('names every problem at once, with what to do', () => {
    const lines = failure({
      PORT: '65536',
      PUBLIC_READS: 'yes',
      MYCELIUM_NETWORK: 'Agri Net',
      MYCELIUM_PEERS: '/ip4/10.0.0.1/tcp/7000,nonsense',
      BACKEND_URL: 'ftp://x',
      DATADIR: '/x',
    }).message.split('\n');
    expect(lines[0]).toBe('5 settings are invalid:');
    expect(lines[1]).toBe(
      '  PORT: "65536" is not a whole number from 0 to 65535. For example, set PORT=5000, or unset it.',
    );
    for (const name of ['PUBLIC_READS', 'MYCELIUM_NETWORK', 'MYCELIUM_PEERS', 'BACKEND_URL', 'DATADIR']) {
      expect(lines.filter((line) => line.startsWith(`  ${name}: `))).toHaveLength(1);
    }
    expect(lines.find((line) => line.includes('MYCELIUM_PEERS'))).toContain('(item 2 is wrong)');
    expect(lines).toHaveLength(7);
  });

  test.each([
    ['PORT', ['-1', '1.5', '0x10', '5000a', '1e3']],
    ['HOST', ['a b', 'http://x', '-x', '[::1]']],
    ['PUBLIC_URL', ['node.example.org', 'javascript:1', 'http://x/?q=1', 'http://x/#f']],
    ['CONTACT_EMAIL', ['ops', 'a@b\nc']],
    ['REGION', ['x'.repeat(65), 'a\nb', 'a\u202eb']],
    ['MYCELIUM_HOST', ['example.org']],
    ['MYCELIUM_NETWORK', ['a'.repeat(33), 'A', 'a/b']],
    ['MYCELIUM_TARGET_DEGREE', ['0', '65']],
    ['MYCELIUM_PEERS', [Array.from({ length: 65 }, () => '/ip4/10.0.0.1/tcp/1').join(',')]],
    ['LOG_LEVEL', ['verbose']],
  ])('refuses a bad %s', (name, values) => {
    for (const value of values) expect(failure({ [name]: value }).message).toContain(`${name}: `);
  });

  test('names for each a value that a shell takes and that is right', () => {
    const fixes = Object.values(SETTINGS).flatMap(({ env }) => {
      const [problem] = ['\u0001', 'x x', '-', 'x'.repeat(9000)].flatMap((value) => {
        try {
          loadSettings({ [env]: value });
          return [];
        } catch (error) {
          return settingProblems(error) ?? [];
        }
      });
      // Some are known to the operator alone, such as those of secrets.
      return problem === undefined || /<[^<>]+>/.test(problem.fix) ? [] : [problem];
    });
    expect(fixes.length).toBeGreaterThan(40);
    const script = fixes.map(({ setting, fix }) => `${fix}; printf '%s\\0' "$${setting}"`).join('\n');
    const values = execFileSync('sh', ['-c', script], { env: {}, encoding: 'utf8' }).split('\0');
    for (const [i, { setting, line, fix }] of fixes.entries()) {
      expect(line).toContain(`For example, set ${fix}, or unset it.`);
      expect(values[i]).not.toBe('');
      expect(() => loadSettings({ [setting]: values[i] }), fix).not.toThrow();
    }
  });

  test('repeats no secret', () => {
    const error = failure({ API_KEY: 'hunter2 with spaces', BACKEND_URL: 'http://me:hunter2@x' });
    expect(JSON.stringify([error.message, error])).not.toContain('hunter2');
  });
});

test('a mistyped name is noticed, an innocent neighbour is not', () => {
  const near = strayNames({
    PROT: '1',
    MYCELIUM_PERS: 'x',
    DATADIR: 'y',
    mycelium_port: '7',
    API_KEYS: 's3cret',
  });
  for (const { name, meant, line } of near)
    expect(line).toBe(`${name}: not a setting, so it is ignored. Did you mean ${meant}?`);
  expect(near.map(({ name, meant }) => [name, meant])).toEqual([
    ['PROT', 'PORT'],
    ['MYCELIUM_PERS', 'MYCELIUM_PEERS'],
    ['DATADIR', 'DATA_DIR'],
    ['mycelium_port', 'MYCELIUM_PORT'],
    ['API_KEYS', 'API_KEY'],
  ]);
  expect(JSON.stringify(near)).not.toContain('s3cret');
  expect(strayNames({ MYCELIUM_COLOUR: 'x' })).toHaveLength(1);
  expect(
    strayNames({
      HOME: '/',
      PATH: '',
      USER: 'x',
      LANG: 'C',
      AWS_REGION: 'x',
      SSL_CERT_FILE: 'x',
      PORT: '1',
    }),
  ).toEqual([]);
});

test('the tables for the README have a row for each', () => {
  expect(settingsTable().split('\n')).toHaveLength(2 + Object.keys(loadSettings({})).length);
  expect(settingsTable()).toContain('| HTTP | `PORT` | `5000` | a whole number from 0 to 65535 |');
  expect(exitCodeTable()).toContain('| 64 | `settings-invalid` |');
  expect(exitCodeFor('no-such-code')).toBe(1);
});

test('isLoopbackHost', () => {
  for (const host of ['localhost', '127.0.0.1', '127.9.9.9', '::1', '[::1]', '::ffff:127.0.0.1']) {
    expect(isLoopbackHost(host), host).toBe(true);
  }
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.evil.org', 'localhost.evil.org', '']) {
    expect(isLoopbackHost(host), host).toBe(false);
  }
});

test('a time is in UTC, to the minute or finer', () => {
  const read = (text: string) => loadSettings({ PREVIOUS_SECRETS_UNTIL: text }).previousSecretsUntil;
  expect(read('2026-12-31T00:00Z')).toBe(Date.UTC(2026, 11, 31));
  expect(read('2026-12-31T00:00:01Z')).toBe(Date.UTC(2026, 11, 31, 0, 0, 1));
  for (const wrong of ['2026-12-31', '2026-13-01T00:00Z', '2026-12-31T00:00+01:00', 'soon'])
    expect(() => read(wrong)).toThrow(/PREVIOUS_SECRETS_UNTIL: .* is not a time in UTC/);
});

test('agrinet start with bad settings: a line each, exit code 64', () => {
  const env = {
    PATH: process.env['PATH'] ?? '',
    ...compileCache(),
    PORT: 'abc',
    DISK_RESERVE_MB: '-3',
    API_KEY: 'hunter2',
  };
  const { status, stdout, stderr } = spawnSync(process.execPath, [agrinet, 'start'], {
    env,
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(status).toBe(exitCodeFor('settings-invalid'));
  expect(stdout).toBe('');
  expect(stderr.trimEnd().split('\n')).toEqual([
    'agrinet: 3 settings are invalid:',
    expect.stringMatching(/^ {2}PORT: "abc" is not /),
    expect.stringMatching(/^ {2}API_KEY: the value is not /),
    expect.stringMatching(/^ {2}DISK_RESERVE_MB: "-3" is not /),
  ]);
});

test('agrinet with a wrong option or no daemon: one line, its exit code', () => {
  const env = { PATH: process.env['PATH'] ?? '', ...compileCache(), BACKEND_URL: 'http://127.0.0.1:1' };
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [agrinet, ...args], { env, encoding: 'utf8', timeout: 30_000 });
  expect(run('status', '--bogus').status).toBe(exitCodeFor('usage'));
  const status = run('status');
  expect(status.status).toBe(exitCodeFor('daemon-not-running'));
  expect(status.stderr).toBe(
    'agrinet: No daemon answers at http://127.0.0.1:1. Start one with `agrinet start` or set BACKEND_URL.\n',
  );
});

describe('what a file of settings leaves in values where it is not read as a shell or systemd would', () => {
  test('line ends, spaces and a byte order mark around them are no part of them', () => {
    for (const around of ['\r', ' \r', '\t', '\u00a0', '\uFEFF'])
      expect(loadSettings({ PORT: `5001${around}`, REGION: `${around}Rift Valley${around}` })).toMatchObject({
        port: 5001,
        region: 'Rift Valley',
      });
  });

  test('quotes around one are refused: they would be part of a secret, a region or the name of a folder', () => {
    for (const name of ['REGION', 'DATA_DIR', 'JWT_SECRET', 'API_KEY', 'PUBLIC_URL', 'BACKUP_PASSPHRASE'])
      for (const quote of ['"', "'"]) {
        const value = `${quote}a-secret-of-enough-letters${quote}`;
        const { message } = failure({ [name]: `${value}\r` });
        expect(message).toContain(`  ${name}: the value is in quotes, which would be part of it.`);
        expect(message).not.toContain(value);
      }
    expect(loadSettings({ REGION: '"', JWT_SECRET: `it's "quoted" inside` })).toMatchObject({ region: '"' });
  });

  test('a secret on several lines is none, and the path of a secret file may end as a line does', () => {
    expect(failure({ JWT_SECRET: 'a-secret-of-enough\nletters' }).message).toContain('on one line');
    expect(failure({ FEDERATION_WEBHOOK_SECRET: 'a-secret-of\0-enough-letters' }).message).toContain(
      'one line',
    );
    const dir = tempDir('secret-file');
    try {
      const file = join(dir.path, 'jwt');
      writeFileSync(file, '\uFEFFa-secret-of-enough-letters \r\n', { mode: 0o600 });
      const env = withSecretFiles({ JWT_SECRET_FILE: `${file}\r` });
      expect(loadSettings(env).jwtSecret).toBe('a-secret-of-enough-letters');
      expect(withSecretFiles({ JWT_SECRET_FILE: ' \r' })['JWT_SECRET']).toBeUndefined();
    } finally {
      dir.remove();
    }
  });
});

test('a setting, a secret file or an argument that is not UTF-8 is refused instead of being kept with its letters lost', () => {
  const dir = tempDir('not-utf8');
  const env = { PATH: process.env['PATH'] ?? '', ...compileCache(), BACKEND_URL: 'http://127.0.0.1:1' };
  const secret = join(dir.path, 'jwt');
  writeFileSync(secret, Buffer.from('clé de vingt-quatre lettres', 'latin1'), { mode: 0o600 });
  // Only a shell can pass on bytes that are no text.
  const run = (script: string) => {
    const shell = `latin1=$(printf 'K\\374ste'); ${script}`;
    return spawnSync('sh', ['-c', shell, process.execPath, agrinet], {
      env,
      encoding: 'utf8',
      timeout: 30_000,
    });
  };
  try {
    const region = run('REGION=$latin1 "$0" "$1" start');
    expect(region.stderr).toContain('  REGION: the value is not UTF-8. Write it as UTF-8, or unset it.\n');
    expect(region.status).toBe(exitCodeFor('settings-invalid'));
    const jwt = run(`JWT_SECRET_FILE=${secret} "$0" "$1" start`);
    expect(jwt.stderr).toContain('  JWT_SECRET: the value is not UTF-8.');
    expect(jwt.status).toBe(exitCodeFor('settings-invalid'));
    const named = run('"$0" "$1" users set amina --name "$latin1"');
    expect(named.stderr).toBe('agrinet: argument 5 is not UTF-8. Use a terminal with UTF-8 (LANG).\n');
    expect(named.status).toBe(exitCodeFor('usage'));
  } finally {
    dir.remove();
  }
});
