import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type DiskSample, TREND_LIMITS } from '../../../../daemon/doctor/disk-trend.ts';
import { examineOffline } from '../../../../daemon/doctor/examine.ts';
import type { Finding } from '../../../../daemon/doctor/finding.ts';
import type { FindingId } from '../../../../daemon/doctor/findings.ts';
import { gatherOffline } from '../../../../daemon/doctor/offline-facts.ts';
import { datedCertificate, makeCertificate } from '../../../support/certificates.ts';
import { agrinetHere } from '../../../support/cli.ts';
import { freePort, startDaemon, startDaemonHere } from '../../../support/daemon.ts';
import type { TestNode } from '../../../support/in-process-node.ts';
import { smallDisk, smallDiskLacking } from '../../../support/small-disk.ts';
import { waitFor } from '../../../support/wait.ts';
import {
  afterwards,
  certificateFiles,
  folder,
  GOOD_KEY,
  livedIn,
  node,
  offline,
  planted,
  restarted,
  setting,
  several,
  sh,
} from './bench.ts';
import type { CasesOf, FindingCase } from './case.ts';

/** The report of the command line without a daemon of its own. */
async function doctor(env: Record<string, string>): Promise<readonly Finding[]> {
  const { stdout } = await agrinetHere(undefined, ['doctor', '--json'], env);
  return (JSON.parse(stdout) as { findings: Finding[] }).findings;
}

/** A fault of a lived-in folder, which the remedy mends there. */
function inFolder(
  message: RegExp,
  harm: (dir: string) => void,
  remedy: (finding: Finding, dir: string) => Record<string, string> | void,
  env: Record<string, string> = { API_KEY: GOOD_KEY },
): FindingCase {
  return planted(
    message,
    async () => {
      const dir = await livedIn();
      cpSync(dir, `${dir}-backup`, { recursive: true });
      afterwards(() => rmSync(`${dir}-backup`, { recursive: true }));
      harm(dir);
      return [await offline({ DATA_DIR: dir, ...env }), dir];
    },
    async (finding, dir) => offline({ DATA_DIR: dir, ...env, ...remedy(finding, dir) }),
  );
}
/** Does what "restore … from a backup" says. */
function putBack({ remedy }: Finding, dir: string): void {
  const [, path = ''] = /^restore (\S+) from a backup/.exec(remedy) ?? [];
  cpSync(path.replace(dir, `${dir}-backup`), path, { recursive: true });
}

const EXPIRED = (): ReturnType<typeof datedCertificate> =>
  datedCertificate('127.0.0.1', '20200101', '20200201');
const HOLDS = (host = '127.0.0.1'): ReturnType<typeof datedCertificate> =>
  datedCertificate(host, '20200101', '20900101');

/** A certificate with a fault; its operator puts one that holds into the very file that the finding names. */
function certificate(
  message: RegExp,
  bad: () => ReturnType<typeof datedCertificate>,
  host = '127.0.0.1',
  env: Record<string, string> = {},
): FindingCase {
  return planted(
    message,
    async () => {
      const files = certificateFiles(bad());
      return [await offline({ ...files, ...env }), files];
    },
    async ({ remedy }, files) => {
      const { TLS_CERT_FILE: path = '' } = files;
      expect(remedy).toContain(`put a valid certificate into ${path};`);
      certificateFiles(HOLDS(host), join(path, '..'));
      return offline({ ...files, ...env });
    },
  );
}

/** A fault of settings; the remedy is one of them. */
const settingCase = (
  message: RegExp,
  env: Record<string, string>,
  value?: string,
  more: Record<string, string> = {},
): FindingCase =>
  planted(
    message,
    async () => [await offline(env), undefined],
    async (finding) => offline({ ...env, ...setting(finding, value), ...more }),
  );

const onSmallDisk = (message: RegExp, leave: number): FindingCase => ({
  lacking: smallDiskLacking(),
  ...planted(
    message,
    async () => {
      const disk = smallDisk(64);
      afterwards(() => disk.remove());
      disk.fill(leave);
      return [await offline({ DATA_DIR: disk.path, DISK_RESERVE_MB: '8' }), disk];
    },
    async ({ remedy }, disk) => {
      expect(remedy).toBe(`free space on the disk of ${disk.path}: df -h ${disk.path}`);
      execFileSync('df', ['-h', disk.path]);
      disk.free();
      return offline({ DATA_DIR: disk.path, DISK_RESERVE_MB: '8' });
    },
  ),
});

/** Free bytes over the last day, growing or falling by so much a sample. */
const samples = (byteStep: number): DiskSample[] => {
  const now = Date.now();
  return Array.from({ length: TREND_LIMITS.samples }, (_, i) => ({
    at: now - (TREND_LIMITS.samples - i) * TREND_LIMITS.everyMs,
    freeBytes: 2e9 + i * byteStep,
  }));
};

async function refused(of: TestNode): Promise<readonly Finding[] | undefined> {
  const refusal = of.context.trouble();
  if (refusal === undefined) return undefined;
  const { settings } = of.node;
  return examineOffline(
    await gatherOffline({ settings, env: {}, now: Date.now(), running: { samples: [], refusal } }),
  );
}

const MADE_UP = ['OAUTH_SECRET', 'MYCELIUM_FOO', 'FEDERATION_BAR'].map((name) => ({
  name,
  ...planted(
    new RegExp(`${name}: not a setting, so it is ignored`),
    async () => [await offline({ [name]: '/a/value' }), undefined],
    async ({ remedy }) => {
      // A shell's environment, as the daemon gets it.
      const left = execFileSync('sh', ['-c', `${remedy}; env`], {
        env: { [name]: '/a/value' },
        encoding: 'utf8',
      });
      return offline(
        Object.fromEntries(
          left
            .trim()
            .split('\n')
            .map((line) => line.split('=') as [string, string])
            .filter(([key]) => key === name),
        ),
      );
    },
  ),
}));
const MISTYPED = (['MYCELIUM_PROT', 'TLS_CERT', 'TLS_KEY', 'FEDERATION_WEBHOOK'] as const).map((name) => ({
  name,
  ...planted(
    new RegExp(`${name}: not a setting, so it is ignored`),
    async () => [await offline({ [name]: '7001' }), undefined],
    async (finding) => {
      expect(finding.remedy).toMatch(new RegExp(`^\\w+=<the value>, and unset ${name}$`));
      if (name.startsWith('TLS')) expect(finding.remedy).toMatch(new RegExp(`^${name}_FILE=`));
      // The value is the operator's; that the name is one is what the remedy promises.
      const [meant = ''] = Object.keys(setting(finding, ''));
      return offline({ [meant]: '' });
    },
  ),
}));

export const MACHINE: CasesOf<
  | Extract<
      FindingId,
      | `daemon-${string}`
      | `setting-${string}`
      | `secret-${string}`
      | `disk-${string}`
      | `certificate-${string}`
    >
  | 'open-without-tls'
  | 'open-without-url'
  | 'url-without-tls'
  | 'rate-unlimited'
  | 'private-peers-allowed'
  | 'api-key-damaged'
  | 'identity-gone'
  | 'pepper-gone'
  | 'api-key-gone'
  | 'folder-open'
  | 'folder-shared'
  | 'folder-missing'
  | 'database-gone'
  | 'identity-in-use'
  | 'writes-refused'
  | 'damaged-copy'
> = {
  'daemon-down': planted(
    /No daemon answers/,
    async () => {
      const [dir, port] = [folder(), await freePort()];
      const env = {
        BACKEND_URL: `http://127.0.0.1:${port}`,
        DATA_DIR: dir,
        MYCELIUM_NETWORK: 'test',
        API_KEY: GOOD_KEY,
      };
      return [await doctor(env), { dir, port, env }];
    },
    async ({ remedy }, { dir, port, env }) => {
      expect(remedy).toBe('agrinet start');
      const daemon = await startDaemon(dir, { PORT: String(port), API_KEY: GOOD_KEY });
      afterwards(() => daemon.stop());
      return doctor(env);
    },
  ),
  'daemon-not-there': planted(
    /No daemon answers/,
    // An address of a documentation range: nobody is there, and nobody is asked.
    async () => [await doctor({ BACKEND_URL: `http://node.invalid:${await freePort()}` }), undefined],
    async (finding) => {
      const daemon = await startDaemonHere(folder());
      afterwards(() => daemon.stop());
      const { BACKEND_URL = '' } = setting(finding, daemon.url);
      return doctor({ BACKEND_URL, API_KEY: daemon.apiKey });
    },
  ),
  'setting-mistyped': several(MISTYPED),
  'setting-unknown': several(MADE_UP),
  'setting-wrong': planted(
    /PORT: "x" is not a whole number/,
    async () => [await doctor({ PORT: 'x' }), undefined],
    async (finding) =>
      doctor({
        ...setting(finding),
        DATA_DIR: folder(),
        BACKEND_URL: `http://127.0.0.1:${await freePort()}`,
      }),
  ),
  'secret-weak': settingCase(/JWT_SECRET: it is made of well-known words/, {
    HOST: '0.0.0.0',
    JWT_SECRET: 'your-jwt-secret-change-me-please',
    API_KEY: GOOD_KEY,
  }),
  'secret-weak-here': settingCase(/API_KEY: it is shorter/, { API_KEY: 'password1' }),
  'open-without-tls': [
    settingCase(
      /open to others without TLS/,
      { HOST: '0.0.0.0', PUBLIC_URL: 'https://node.example.org' },
      undefined,
      { HOST: '127.0.0.1' },
    ),
    {
      name: 'with a certificate',
      ...planted(
        /open to others without TLS/,
        async () => [await offline({ HOST: '0.0.0.0' }), undefined],
        async () => offline({ HOST: '0.0.0.0', ...certificateFiles(HOLDS()) }),
      ),
    },
  ],
  'open-without-url': settingCase(/announces no URL/, { HOST: '0.0.0.0' }, 'https://node.example.org'),
  'url-without-tls': settingCase(
    /plain http, which other nodes refuse/,
    { PUBLIC_URL: 'http://node.example.org' },
    'https://node.example.org',
  ),
  'rate-unlimited': settingCase(/without a rate limit/, {
    PUBLIC_URL: 'https://node.example.org',
    RATE_LIMIT: 'off',
  }),
  'private-peers-allowed': settingCase(/contacts private addresses/, {
    PUBLIC_URL: 'https://node.example.org',
    ALLOW_PRIVATE_PEERS: 'on',
  }),
  'secret-file-open': inFolder(
    /identity\.json can be read or changed by others \(mode 644\)/,
    (dir) => chmodSync(join(dir, 'identity.json'), 0o644),
    sh,
  ),
  'secret-file-damaged': [
    inFolder(
      /identity\.json does not contain an Ed25519 identity/,
      (dir) => writeFileSync(join(dir, 'identity.json'), '{}'),
      putBack,
    ),
    {
      name: 'the pepper',
      ...inFolder(
        /key-pepper does not contain a secret/,
        (dir) => writeFileSync(join(dir, 'key-pepper'), 'x'),
        putBack,
      ),
    },
  ],
  'api-key-damaged': inFolder(
    /api-key does not contain a key/,
    (dir) => writeFileSync(join(dir, 'api-key'), 'x', { mode: 0o600 }),
    ({ remedy }) => sh({ remedy: remedy.slice(0, remedy.indexOf(';')) }),
    {},
  ),
  'identity-gone': inFolder(
    /identity\.json is missing/,
    (dir) => rmSync(join(dir, 'identity.json')),
    putBack,
  ),
  'pepper-gone': [
    inFolder(/key-pepper is missing/, (dir) => rmSync(join(dir, 'key-pepper')), putBack),
    {
      name: 'and its keys are given up',
      ...inFolder(
        /key-pepper is missing/,
        (dir) => rmSync(join(dir, 'key-pepper')),
        ({ remedy }) => sh({ remedy: remedy.slice(remedy.indexOf('(')) }),
      ),
    },
  ],
  'api-key-gone': inFolder(
    /api-key is missing/,
    () => undefined,
    (finding) => setting(finding, GOOD_KEY),
    {},
  ),
  'folder-open': inFolder(
    /others can read or change .*agrinet-doctor-\w+, .*db\/CURRENT: private messages/,
    (dir) => execFileSync('sh', ['-c', `cd ${dir}; chmod 777 . db; chmod 644 db/CURRENT initialized`]),
    sh,
  ),
  'folder-shared': inFolder(
    /others can read or change/,
    (dir) => chmodSync(dir, 0o1777),
    (finding, dir) => {
      const own = folder();
      renameSync(join(dir, 'identity.json'), join(own, 'identity.json'));
      return setting(finding, own);
    },
  ),
  'folder-missing': [
    planted(
      /is missing or cannot be read/,
      async () => {
        const dir = join(folder(), 'of/the/node');
        return [await offline({ DATA_DIR: dir }), dir];
      },
      async (finding, dir) => {
        sh(finding);
        expect(statSync(dir).mode & 0o777).toBe(0o700);
        return offline({ DATA_DIR: dir });
      },
    ),
    {
      name: 'where a link leads to',
      ...planted(
        /link is missing or cannot be read/,
        async () => {
          const dir = folder();
          const link = join(dir, 'link');
          symlinkSync(join('of', 'the', 'node'), link);
          return [await offline({ DATA_DIR: link }), link];
        },
        async (finding, link) => {
          sh(finding);
          expect(statSync(link).mode & 0o777).toBe(0o700);
          return offline({ DATA_DIR: link });
        },
      ),
    },
  ],
  'database-gone': [
    inFolder(
      /db is missing although this node has been initialised/,
      (dir) => rmSync(join(dir, 'db'), { recursive: true }),
      putBack,
    ),
    {
      name: 'and begun anew',
      ...planted(
        /db is missing although this node has been initialised/,
        async () => {
          const of = await node();
          await of.stop();
          const { dataDir } = of.node.settings;
          rmSync(join(dataDir, 'db'), { recursive: true });
          return [await offline({ DATA_DIR: dataDir }), of];
        },
        async ({ remedy }, of) => {
          sh({ remedy: remedy.slice(remedy.indexOf('rm ')) });
          await restarted(of);
          return offline({ DATA_DIR: of.node.settings.dataDir });
        },
      ),
    },
  ],
  'identity-in-use': {
    lacking: process.platform === 'linux' ? undefined : 'the lock is of Linux',
    ...planted(
      /Process \d+ already runs as/,
      async () => {
        const dir = folder();
        const daemon = await startDaemon(dir);
        afterwards(() => daemon.stop());
        return [await offline({ DATA_DIR: dir }), { dir, daemon }];
      },
      async ({ remedy }, { dir, daemon }) => {
        expect(remedy).toMatch(new RegExp(`kill ${daemon.child.pid}$`));
        const ended = once(daemon.child, 'exit');
        sh({ remedy: remedy.slice(remedy.indexOf('kill ')) });
        await ended;
        return offline({ DATA_DIR: dir });
      },
    ),
  },
  'writes-refused': planted(
    /writes are refused \(storage-failed\)/,
    async () => {
      // So little is free for opening it again that it stays so.
      const of = await node();
      await of.node.db.level.close();
      await of.node.db.batch([], true).catch(() => undefined);
      await of.request('POST', '/listings', { type: 'offer', title: 'Maize' });
      return [await waitFor('the refusal', () => refused(of)), of];
    },
    async ({ remedy }, of) => {
      expect(remedy).toMatch(/^restart the daemon/);
      return (await refused(await restarted(of))) ?? [];
    },
  ),
  'damaged-copy': inFolder(/copy from before a repair/, (dir) => mkdirSync(join(dir, 'db.damaged')), sh),
  'disk-full': onSmallDisk(/less than DISK_RESERVE_MB=.*: writes are refused/, 4 * 1024 * 1024),
  'disk-low': onSmallDisk(/\d+ MiB are free; below 8 MiB, writes are refused/, 12 * 1024 * 1024),
  'disk-filling': planted(
    /at the rate of the last day, writes will be refused in \d\.\d days/,
    async () => [await offline({ DISK_RESERVE_MB: '64' }, samples(-3e6)), undefined],
    // Space was freed: the pace of the day that follows is another.
    async () => offline({ DISK_RESERVE_MB: '64' }, samples(3e6)),
  ),
  'certificate-unreadable': planted(
    /cannot be read as PEM/,
    async () => [await offline({ TLS_CERT_FILE: '/dev/null' }), undefined],
    async (finding) => offline(setting(finding, certificateFiles(HOLDS())['TLS_CERT_FILE'])),
  ),
  'certificate-early': certificate(/valid only from 2090-01-01/, () =>
    datedCertificate('127.0.0.1', '20900101', '20910101'),
  ),
  'certificate-expired': certificate(/expired on 2020-02-01/, EXPIRED),
  'certificate-expiring': certificate(/expires on \d{4}-\d\d-\d\d, in [01] days/, makeCertificate),
  'certificate-other-name': [
    planted(
      /does not name node\.example\.org/,
      async () => {
        const files = certificateFiles(HOLDS('other.example.org'));
        return [await offline({ ...files, PUBLIC_URL: 'https://node.example.org' }), files];
      },
      async (finding, files) => offline({ ...files, ...setting(finding, 'https://other.example.org') }),
    ),
  ],
};
