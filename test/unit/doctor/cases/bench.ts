import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { expect } from 'vitest';
import { loadOrCreatePepper } from '../../../../daemon/access/key-pepper.ts';
import type { DiskSample } from '../../../../daemon/doctor/disk-trend.ts';
import { examineOffline, examineOnline } from '../../../../daemon/doctor/examine.ts';
import type { Finding } from '../../../../daemon/doctor/finding.ts';
import { gatherOffline } from '../../../../daemon/doctor/offline-facts.ts';
import { loadOrCreateIdentity } from '../../../../daemon/identity-file.ts';
import { loadSettings } from '../../../../daemon/settings.ts';
import { systemEnv } from '../../../../daemon/system-env.ts';
import { identityFromSeed, type Identity } from '../../../../protocols/wire/identity.ts';
import type { datedCertificate } from '../../../support/certificates.ts';
import { agrinetHere } from '../../../support/cli.ts';
import { factsOf } from '../../../support/examined.ts';
import { registerHere, startNode, TEST_KEY, type TestNode } from '../../../support/in-process-node.ts';
import { serve } from '../../../support/loopback-server.ts';
import { tempDir } from '../../../support/temp-dir.ts';
import type { Awaitable, FindingCase } from './case.ts';

export const MINUTE = 60_000;
export const GOOD_KEY = 'Vw3kqz0Pm8uTn5Xc7Rb2Ld9Yg4Hs6Jf1';
export const someone = (): Identity => identityFromSeed(new Uint8Array(randomBytes(32)));
export const epoch = (): string => randomBytes(8).toString('hex');

const undo: (() => Awaitable<unknown>)[] = [];
/** To be undone after the case, last first. */
export function afterwards(step: () => Awaitable<unknown>): void {
  undo.push(step);
}
export async function undoAll(): Promise<void> {
  for (const step of undo.splice(0).toReversed()) await step();
}

export function folder(): string {
  const dir = tempDir('doctor');
  afterwards(() => dir.remove());
  return dir.path;
}

/** A mirror that looks again at once. */
const QUICK = {
  requestMs: 700,
  graceMs: 7000,
  retryMs: 300,
  backoffMs: 1000,
  renewMs: 500,
  leaseMs: 3000,
} as const;

/** What a node was started with, so that it can be started again. */
const startedWith = new WeakMap<TestNode, { dir: string; env: Record<string, string>; identity: Identity }>();

export async function node(
  env: Record<string, string> = {},
  identity: Identity = someone(),
  dir = folder(),
): Promise<TestNode> {
  const started = await startNode(dir, { RATE_LIMIT: 'off', ...env }, identity, { mirrorLimits: QUICK });
  startedWith.set(started, { dir, env, identity });
  let stopped = false;
  const once = {
    ...started,
    async stop() {
      if (stopped) return;
      stopped = true;
      await started.stop();
    },
  };
  startedWith.set(once, { dir, env, identity });
  afterwards(() => once.stop());
  return once;
}

/** Stops a node and starts it from its folder, with other settings where some are given. */
export async function restarted(of: TestNode, changed: Record<string, string> = {}): Promise<TestNode> {
  const before = startedWith.get(of);
  if (before === undefined) throw new Error('nobody has started this one');
  await of.stop();
  return node({ ...before.env, ...changed }, before.identity, before.dir);
}

/** What is found without a daemon. */
export async function offline(
  env: Record<string, string>,
  samples: readonly DiskSample[] = [],
): Promise<readonly Finding[]> {
  const settings = loadSettings({ DATA_DIR: folder(), ...env });
  const running = samples.length === 0 ? {} : { running: { samples, refusal: undefined } };
  return examineOffline(await gatherOffline({ settings, env, now: Date.now(), ...running }));
}

/** What is found with one; `laterMs` sets the doctor's clock forward. */
export const online = async (of: TestNode, laterMs = 0): Promise<readonly Finding[]> =>
  examineOnline(await factsOf(of, laterMs));

/** A folder as a node leaves it, with its identity and pepper. */
export async function livedIn(): Promise<string> {
  process.umask(0o077);
  const dir = folder();
  await loadOrCreateIdentity(dir, systemEnv);
  await loadOrCreatePepper(dir, false, systemEnv);
  mkdirSync(join(dir, 'db'));
  writeFileSync(join(dir, 'db', 'CURRENT'), '');
  writeFileSync(join(dir, 'initialized'), '');
  return dir;
}

/** Writes a pair into a folder, as the operator who renews one does; returns the settings that name it. */
export function certificateFiles(
  { cert, key }: ReturnType<typeof datedCertificate>,
  dir = folder(),
): Record<string, string> {
  writeFileSync(join(dir, 'tls.crt'), cert);
  writeFileSync(join(dir, 'tls.key'), key, { mode: 0o600 });
  return { TLS_CERT_FILE: join(dir, 'tls.crt'), TLS_KEY_FILE: join(dir, 'tls.key') };
}

/** Runs a remedy that is a command of the shell. */
export function sh({ remedy }: Pick<Finding, 'remedy'>): void {
  execFileSync('sh', ['-c', remedy]);
}

/** The setting that a remedy names, with the value that it names, or this one in place of `<…>`. */
export function setting({ remedy }: Finding, value?: string): Record<string, string> {
  const [, name = '', rest = ''] = /^([A-Z_]+)=(.*)$/.exec(remedy) ?? [];
  expect(name, remedy).not.toBe('');
  const made = rest.startsWith('$(')
    ? execFileSync('sh', ['-c', `printf %s "${rest}"`], { encoding: 'utf8' })
    : /^[^\s,]*/.exec(rest)?.[0];
  return { [name]: value ?? made ?? '' };
}

/** Runs the `agrinet` command that a remedy names against a node of this process, over real HTTP. */
export async function run(
  of: TestNode,
  { remedy }: Pick<Finding, 'remedy'>,
  fill: Readonly<Record<string, string>> = {},
): Promise<void> {
  const [, line = ''] = /agrinet ((?:<[^>]+>|[^,;(<])+)/.exec(remedy) ?? [];
  let words = line.trim();
  for (const [placeholder, value] of Object.entries(fill)) words = words.replace(placeholder, value);
  expect(words, remedy).not.toBe('');
  expect(words).not.toContain('<');
  const listener = getRequestListener(of.app.fetch);
  const server = await serve((incoming, outgoing) => void listener(incoming, outgoing));
  try {
    const { code, stderr } = await agrinetHere({ url: server.url, apiKey: TEST_KEY }, words.split(' '));
    expect([words, code, stderr]).toEqual([words, 0, '']);
  } finally {
    await server.close();
  }
}

/** A registered author whose entries are brought to a node by hand. */
export async function author(of: TestNode): Promise<Identity> {
  const identity = someone();
  await registerHere(of, identity.peerId);
  return identity;
}

/** A case in which nothing has to be kept between the fault and its remedy. */
export function planted<T>(
  message: RegExp,
  plant: () => Promise<readonly [findings: readonly Finding[], kept: T]>,
  remedy: (finding: Finding, kept: T) => Promise<readonly Finding[]>,
): FindingCase {
  return {
    message,
    async plant() {
      const [found, kept] = await plant();
      return { found, remedy: (finding) => remedy(finding, kept) };
    },
  };
}

/** Cases of one kind, of which there is at least one. */
export function several(cases: readonly FindingCase[]): readonly [FindingCase, ...FindingCase[]] {
  const [first, ...rest] = cases;
  if (first === undefined) throw new Error('no case at all');
  return [first, ...rest];
}
