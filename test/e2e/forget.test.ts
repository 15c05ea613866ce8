import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { encodeItem } from '../../protocols/mycelium/range-item.ts';
import { ITEM_SEQUENCE } from '../../protocols/mycelium/item-sequence.ts';
import { signRegistration } from '../../protocols/registry/statement.ts';
import { base64url, concat } from '../../protocols/wire/bytes.ts';
import { PASSPHRASE, restore } from '../support/backups.ts';
import { agrinetHere } from '../support/cli.ts';
import { type DaemonProcess, startDaemon } from '../support/daemon.ts';
import { mirrorEnv, startDynamo, type TestDynamo } from '../support/dynamo.ts';
import { Hand, listingOps, NET, randomFrom, someIdentity } from '../support/forge.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';
import type { ShownMirror } from '../sim/mirror.ts';

const seed = Number(process.env['SEED'] ?? 17);
const random = randomFrom(seed);
const LISTINGS = 600;
const OWN = 5;

const dirs: ReturnType<typeof tempDir>[] = [];
const daemons: DaemonProcess[] = [];
let dynamo: TestDynamo;
beforeEach(async () => {
  dynamo = await startDynamo('dynalite');
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop('SIGKILL');
  await dynamo.stop();
  for (const dir of dirs.splice(0)) dir.remove();
});
function folder(): string {
  const dir = tempDir('forget');
  dirs.push(dir);
  return dir.path;
}
async function start(path: string): Promise<DaemonProcess> {
  const daemon = await startDaemon(path, mirrorEnv(dynamo.url));
  daemons.push(daemon);
  return daemon;
}

/** Follows an author who runs no node, and takes its entries in, each with one listing. */
async function take(daemon: DaemonProcess, author: Hand): Promise<void> {
  const { peerId } = author.identity;
  const { peerId: receiver } = await daemon.json<{ peerId: typeof peerId }>('GET', '/federation/identity');
  const statement = signRegistration(author.identity, NET, {
    caller: peerId,
    receiver,
    nodeUrl: '',
    region: '',
    name: 'gone',
    multiaddrs: [],
    schemaVersion: 1,
    time: Date.now(),
    nonce: random.hex(16),
    tlsFingerprint: '',
  });
  const { key } = await daemon.json<{ key: string }>('POST', '/api/keys', {
    userId: peerId,
    scopes: ['register'],
  });
  const registered = await fetch(`${daemon.url}/federation/node/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': key },
    body: JSON.stringify({ statement: base64url(statement) }),
  });
  expect(registered.status, await registered.text()).toBe(202);
  await daemon.json('POST', `/federation/nodes/${peerId}/approve`, {});
  for (let n = 0; n < LISTINGS; n += 300) {
    const items = Array.from({ length: 300 }, (_, i) => {
      const ops = listingOps(author.pen, `l${n + i}`, undefined, { title: random.hex(100) });
      return encodeItem({ kind: 'entry', bytes: author.next(ops).bytes });
    });
    const answer = await fetch(`${daemon.url}/federation/feed-file`, {
      method: 'POST',
      headers: { 'x-api-key': daemon.apiKey, 'content-type': ITEM_SEQUENCE },
      body: Buffer.from(concat(items)),
    });
    expect(await answer.json()).toMatchObject({ accepted: 300 });
  }
}

/** Has the node forgotten and kills the daemon when the command has said so much: whether it was in the middle. */
async function forgetAndKill(daemon: DaemonProcess, node: string, lines: number): Promise<boolean> {
  const answer = await daemon.request('POST', `/federation/nodes/${node}/forget`, {});
  expect(answer.status).toBe(200);
  let text = '';
  try {
    for await (const chunk of answer.body ?? []) {
      text += Buffer.from(chunk).toString();
      if (text.split('\n').length > lines) break;
    }
  } finally {
    await daemon.stop('SIGKILL');
  }
  return !text.includes('"finished"');
}

const mirrorOf = (daemon: DaemonProcess): Promise<ShownMirror> => daemon.json('GET', '/mirror');
const settled = (daemon: DaemonProcess): Promise<unknown> =>
  waitFor(
    'the tables to be as the node is',
    async () => {
      const { state, lag } = await mirrorOf(daemon);
      return state === 'running' && lag.entries === 0;
    },
    120_000,
  );
async function listed(author: string): Promise<[own: number, theirs: number]> {
  // What is gone leaves a tombstone without content for a while.
  const ids = [...(await dynamo.items('Listings', ['id']))].flatMap(([id, { title }]) =>
    title === undefined ? [] : [id],
  );
  const theirs = ids.filter((id) => id.startsWith(author)).length;
  return [ids.length - theirs, theirs];
}
interface Digests {
  readonly owners: Record<
    string,
    { forgotten?: { entries: number }; collections: Record<string, { count: number }> }
  >;
}
async function expectVerified(daemon: DaemonProcess): Promise<void> {
  // It is refused (75) while the daemon's own check of its tables goes on: there is one at a time.
  const { code, stderr } = await waitFor(
    'the tables to be checked by nobody else',
    async () => {
      const ended = await agrinetHere(daemon, ['mirror', 'verify']);
      return ended.code !== 75 && ended;
    },
    60_000,
  );
  expect([code, stderr]).toEqual([0, expect.any(String)]);
}
async function expectGap(daemon: DaemonProcess, author: string): Promise<void> {
  const { stdout } = await agrinetHere(daemon, ['digest', '--json']);
  expect((JSON.parse(stdout) as Digests).owners[author]?.forgotten).toMatchObject({ entries: LISTINGS });
  const doctor = await agrinetHere(daemon, ['doctor', '--json']);
  const { findings } = JSON.parse(doctor.stdout) as { findings: { id: string; subject?: string }[] };
  expect(findings).toContainEqual(expect.objectContaining({ id: 'entries-forgotten', subject: author }));
  expect((await daemon.request('GET', `/listings/${author}.l0`)).status).toBe(404);
}

it(`is finished after each SIGKILL in its middle, in the mirror too, and is right in backups from before and after (seed ${seed})`, async () => {
  const path = folder();
  let daemon = await start(path);
  const author = new Hand(someIdentity(random), random.hex(8));
  const { peerId } = author.identity;
  for (let n = 0; n < OWN; n++)
    await daemon.json('PUT', `/listings/own-${n}`, { type: 'offer', title: `own ${n}` });
  await take(daemon, author);
  expect((await agrinetHere(daemon, ['mirror', 'init'])).code).toBe(0);
  await settled(daemon);
  expect(await listed(peerId)).toEqual([OWN, LISTINGS]);
  const before = join(folder(), 'before.backup');
  const backup = async (file: string): Promise<void> => {
    const { code, stderr } = await agrinetHere(daemon, ['backup', file, '--with-keys'], {
      DATA_DIR: path,
      BACKUP_PASSPHRASE: PASSPHRASE,
    });
    expect([code, stderr]).toEqual([0, expect.any(String)]);
  };
  await backup(before);

  await daemon.json('POST', `/federation/nodes/${peerId}/revoke`, {});
  let middles = 0;
  for (const lines of [0, 1, 2]) {
    if (await forgetAndKill(daemon, peerId, lines)) middles++;
    daemon = await start(path);
  }
  expect(middles, 'kills in the middle').toBeGreaterThan(0);
  const again = await agrinetHere(daemon, ['forget', peerId, '--yes', '--json']);
  expect([again.code, again.stderr]).toEqual([0, expect.any(String)]);
  await expectGap(daemon, peerId);
  await settled(daemon);
  expect(await listed(peerId)).toEqual([OWN, 0]);
  await expectVerified(daemon);
  const after = join(folder(), 'after.backup');
  await backup(after);
  await daemon.stop();
  const checked = await agrinetHere(undefined, ['fsck'], { DATA_DIR: path, MYCELIUM_NETWORK: 'test' });
  expect([checked.code, checked.stdout + checked.stderr]).toEqual([0, expect.any(String)]);

  // A backup from after has the gap, and the tables need nothing of it.
  const [later, earlier] = [join(folder(), 'data'), join(folder(), 'data')];
  await restore(later, after);
  daemon = await start(later);
  await expectGap(daemon, peerId);
  expect((await agrinetHere(daemon, ['mirror', 'init'])).code).toBe(0);
  await settled(daemon);
  expect(await listed(peerId)).toEqual([OWN, 0]);
  await expectVerified(daemon);
  await daemon.stop();

  // One from before brings all of it back, also into the tables; then it is forgotten once more.
  await restore(earlier, before);
  daemon = await start(earlier);
  expect((await daemon.request('GET', `/listings/${peerId}.l0`)).status).toBe(200);
  expect((await agrinetHere(daemon, ['mirror', 'init'])).code).toBe(0);
  await settled(daemon);
  expect(await listed(peerId)).toEqual([OWN, LISTINGS]);
  await daemon.json('POST', `/federation/nodes/${peerId}/revoke`, {});
  expect((await agrinetHere(daemon, ['forget', peerId, '--yes'])).code).toBe(0);
  await expectGap(daemon, peerId);
  await settled(daemon);
  expect(await listed(peerId)).toEqual([OWN, 0]);
  await expectVerified(daemon);
}, 360_000);
