import { randomBytes } from 'node:crypto';
import { join as joinPath } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadSettings } from '../../daemon/settings.ts';
import { fsck } from '../../daemon/maintenance.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { encodeAttachmentRequest } from '../../protocols/mycelium/attachment-protocol.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import { agrinet } from '../support/cli.ts';
import type { Daemon } from '../support/daemon.ts';
import { join } from '../support/daemon.ts';
import { type Member, ProcessFederation, type ProcessMember } from '../support/federation.ts';
import { filesWith } from '../support/files-with.ts';
import { NET, randomFrom } from '../support/forge.ts';
import { HostilePeer } from '../support/hostile-peer.ts';

import { smallDisk, smallDiskLacking } from '../support/small-disk.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

const MIB = 1024 * 1024;
const PASSPHRASE = 'lorry maize quince river seven lantern';
const random = randomFrom(Number(process.env['SEED'] ?? 7));

/** Bytes that are sent as they are, and what came of it. */
function send(daemon: Daemon, bytes: Uint8Array, path = '/attachments'): Promise<Response> {
  return fetch(daemon.url + path, {
    method: 'POST',
    headers: { 'x-api-key': daemon.apiKey, 'content-type': 'application/octet-stream' },
    body: Buffer.from(bytes),
  });
}
async function upload(daemon: Daemon, bytes: Uint8Array): Promise<string> {
  const sent = await send(daemon, bytes);
  expect(sent.status).toBe(201);
  return ((await sent.json()) as { sha256: string }).sha256;
}
/** A listing with this picture; the path that all nodes serve it at. */
async function pictured(owner: Member, id: string, sha256: string): Promise<string> {
  const images = [{ sha256, name: `${id}.png` }];
  await owner.json('PUT', `/listings/${id}`, { type: 'offer', title: id, images });
  return `/attachments/listings/${owner.peerId}.${id}/${sha256}`;
}
const arrival = (at: Daemon, owner: Member, id: string) =>
  waitFor(
    `${id} to come`,
    async () => (await at.request('GET', `/listings/${owner.peerId}.${id}`)).ok,
    30_000,
  );
async function bytesAt(at: Daemon, path: string): Promise<[status: number, hash: string]> {
  const got = await at.request('GET', path);
  return [got.status, sha256Hex(new Uint8Array(await got.arrayBuffer()))];
}
async function problemsOf(dir: string): Promise<string[]> {
  const settings = loadSettings({ DATA_DIR: dir, LOG_LEVEL: 'silent' });
  return (await fsck(settings, systemEnv, () => undefined)).problems.map(({ code }) => code);
}

describe('attachments between daemons', { timeout: 120_000 }, () => {
  const federation = new ProcessFederation();
  let a: ProcessMember;
  let b: ProcessMember;
  let liar: HostilePeer;
  let registered: Promise<void> | undefined;
  /** A node that a failed test left stopped would fail all after it. */
  const revived = async (node: ProcessMember): Promise<ProcessMember> =>
    (await node.request('GET', '/health').then(Boolean, () => false))
      ? node
      : await federation.start(node.dir, { MYCELIUM_NETWORK: NET, API_KEY: node.apiKey });

  beforeAll(async () => {
    a = await federation.add({ MYCELIUM_NETWORK: NET });
    b = await federation.add({ MYCELIUM_NETWORK: NET });
    await join(a, b);
    liar = await HostilePeer.start(random, b);
  }, 120_000);
  afterEach(async () => {
    a = await revived(a);
    b = await revived(b);
  });
  afterAll(async () => {
    await liar.stop();
    await federation.close();
  });

  it('arrive on demand, stay, and are given on while their author is away', async () => {
    const picture = randomBytes(MIB);
    const sha256 = await upload(a, picture);
    const path = await pictured(a, 'maize', sha256);
    await arrival(b, a, 'maize');
    expect(await bytesAt(b, path)).toEqual([200, sha256]);
    await a.stop();
    expect(await bytesAt(b, path)).toEqual([200, sha256]);
    a = await federation.start(a.dir, { MYCELIUM_NETWORK: NET, API_KEY: a.apiKey });
  });

  it('a stranger is answered nothing, and a registered node nothing of a conversation', async () => {
    const file = { name: 'secret.pdf', data: randomBytes(2000).toString('base64') };
    const title = { title: 't', participants: [`ann@${b.peerId}`] };
    const { id } = await a.json<{ id: string }>('POST', '/conversations', title);
    const sent = { from: 'mary', content: 'x', file };
    const made = await a.json<{ id: string }>('POST', '/conversations', {
      ...title,
      participants: [`mary@${a.peerId}`, `ann@${b.peerId}`],
    });
    expect((await a.request('POST', `/messages/${id}`, { ...sent, from: 'nobody' })).status).toBe(403);
    const { message } = await a.json<{ message: { id: string; file: { path: string; sha256: string } } }>(
      'POST',
      `/messages/${made.id}`,
      sent,
    );
    await waitFor(
      'the message',
      async () => (await b.json<unknown[]>('GET', `/messages/${made.id}`)).length === 1,
    );
    expect(await bytesAt(b, message.file.path)).toEqual([200, message.file.sha256]);
    const record = `messages/${message.id.replace('.', '/')}` as RecordKey;
    const request = encodeAttachmentRequest({ record, sha256: message.file.sha256 });
    expect(await liar.throwFrames('attachment', [request])).toBe('reset');
    await (registered ??= liar.register(random));
    // It may ask now, and gets an empty frame: for what is private, and for what there is not.
    expect(await liar.ask('attachment', request)).toEqual([0]);
    const nothing = encodeAttachmentRequest({ record, sha256: '0'.repeat(64) });
    expect(await liar.ask('attachment', nothing)).toEqual([0]);
  });

  it('a peer that gives other bytes is blamed, and nothing of it is kept', async () => {
    const sha256 = await upload(a, randomBytes(5000));
    const path = await pictured(a, 'beans', sha256);
    await arrival(b, a, 'beans');
    await a.stop();
    const forged = Buffer.from('forged-bytes-of-nobody-41');
    await liar.serve('attachment', () => [forged]);
    await (registered ??= liar.register(random));
    await waitFor(
      'b to ask the liar',
      async () => {
        expect((await b.request('GET', path)).status).toBe(503);
        const { alarms } = await b.json<{ alarms: { kind: string; text: string }[] }>('GET', '/ready');
        return alarms.some(
          ({ kind, text }) => kind === 'peer-distrusted' && text.includes('attachment-differs'),
        );
      },
      60_000,
    );
    a = await federation.start(a.dir, { MYCELIUM_NETWORK: NET, API_KEY: a.apiKey });
    await waitFor('the true bytes', async () => (await bytesAt(b, path))[1] === sha256, 90_000);
    expect(filesWith(b.dir, forged.toString())).toEqual([]);
  });

  it('a kill during uploads and fetches leaves whole ones or none', async () => {
    const acknowledged: string[] = [];
    let stopped = false;
    const uploading = Array.from({ length: 4 }, async () => {
      while (!stopped) {
        const bytes = randomBytes(200_000);
        const sent = await send(a, bytes).catch(() => undefined);
        if (sent?.status !== 201) return;
        acknowledged.push(sha256Hex(bytes));
        // Named, so that there is room for more.
        await pictured(a, `k${acknowledged.length}`, sha256Hex(bytes)).catch(() => undefined);
      }
    });
    await waitFor('some uploads', () => acknowledged.length > 12, 60_000);
    await a.stop('SIGKILL');
    stopped = true;
    await Promise.all(uploading);
    expect(await problemsOf(a.dir)).toEqual([]);
    a = await federation.start(a.dir, { MYCELIUM_NETWORK: NET, API_KEY: a.apiKey });
    const paths: string[] = [];
    for (const [i, sha256] of acknowledged.entries()) paths.push(await pictured(a, `again${i}`, sha256));
    for (const [i, path] of paths.entries()) expect(await bytesAt(a, path)).toEqual([200, acknowledged[i]]);

    await arrival(b, a, `again${paths.length - 1}`);
    const fetching = paths.map((path) => b.request('GET', path).catch(() => undefined));
    await Promise.race(fetching);
    await b.stop('SIGKILL');
    await Promise.all(fetching);
    expect(await problemsOf(b.dir)).toEqual([]);
    b = await federation.start(b.dir, { MYCELIUM_NETWORK: NET, API_KEY: b.apiKey });
    for (const [i, path] of paths.entries())
      await waitFor(path, async () => (await bytesAt(b, path))[1] === acknowledged[i], 60_000);
  });

  it('are in a backup, and a restored node serves its own', async () => {
    const sha256 = await upload(a, randomBytes(3000));
    const path = await pictured(a, 'kept', sha256);
    const dir = tempDir('restored');
    const file = joinPath(dir.path, 'node.backup');
    const taken = await agrinet(a, ['backup', file, '--with-keys'], {
      DATA_DIR: a.dir,
      BACKUP_PASSPHRASE: PASSPHRASE,
    });
    expect(taken.code, taken.stderr).toBe(0);
    await a.stop();
    const folder = joinPath(dir.path, 'data');
    const restored = await agrinet(undefined, ['restore', file], {
      DATA_DIR: folder,
      BACKUP_PASSPHRASE: PASSPHRASE,
    });
    expect(restored.code, restored.stderr).toBe(0);
    const again = await federation.start(folder, { MYCELIUM_NETWORK: NET, API_KEY: a.apiKey });
    expect(await bytesAt(again, path)).toEqual([200, sha256]);
    await again.stop();
    a = await federation.start(a.dir, { MYCELIUM_NETWORK: NET, API_KEY: a.apiKey });
  });
});

const lacking = smallDiskLacking();
describe.skipIf(lacking !== undefined)(
  `attachments on a full disk${lacking === undefined ? '' : ` [skipped: ${lacking}]`}`,
  () => {
    it(
      'uploads are 507, what is fetched is shown and not kept, and both go on once there is room',
      { timeout: 120_000 },
      async () => {
        const disk = smallDisk(40);
        const federation = new ProcessFederation();
        try {
          const peer = await federation.add();
          const node = await federation.start(disk.path, { DISK_RESERVE_MB: '8' });
          await federation.registerAll();
          const sha256 = await upload(peer, randomBytes(100_000));
          const path = await pictured(peer, 'maize', sha256);
          await arrival(node, peer, 'maize');
          disk.fill(4 * MIB);
          await waitFor(
            '/ready to show it',
            async () => (await node.request('GET', '/ready')).status === 503,
          );
          const refused = await send(node, randomBytes(1000));
          expect([refused.status, await refused.json()]).toMatchObject([507, { code: 'disk-full' }]);
          expect(await bytesAt(node, path)).toEqual([200, sha256]);
          disk.free();
          await waitFor('writing to go on', async () => (await node.request('GET', '/ready')).status === 200);
          await upload(node, randomBytes(1000));
          await peer.stop();
          // Nobody has it now: it was not kept while the disk was full.
          expect((await node.request('GET', path)).status).toBe(503);
        } finally {
          await federation.close();
          disk.remove();
        }
      },
    );
  },
);
