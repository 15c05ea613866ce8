import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import { range } from '../../../storage/keyspace.ts';
import { befriend, startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { type Served, serveNode } from '../../support/served-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

/* What a stranger may have signed or sent, and how it comes out. */

const PNG = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), randomBytes(50)]);
const SCRIPT = '<script>alert(1)</script>';

interface Shown {
  readonly id: string;
  readonly attachments: readonly { readonly name: string; readonly url: string }[];
}

describe('attachments as they are served', () => {
  const dirs = [tempDir('serving-a'), tempDir('serving-b')];
  let a: TestNode;
  let b: TestNode;
  let served: Served;
  const ends: (() => unknown)[] = [];

  beforeAll(async () => {
    a = await startNode(dirs[0]?.path ?? '', { RATE_LIMIT: 'off' });
    ends.unshift(() => a.stop());
    b = await startNode(dirs[1]?.path ?? '', { RATE_LIMIT: 'off', PUBLIC_READS: 'off' });
    ends.unshift(() => b.stop());
    await befriend(a, b);
    served = await serveNode(a);
  });
  afterAll(async () => {
    served.close();
    for (const end of ends) await end();
    for (const dir of dirs) dir.remove();
  });

  async function upload(bytes: Uint8Array, query = ''): Promise<{ sha256: string; name: string }> {
    const sent = await a.app.request(`/attachments${query}`, {
      method: 'POST',
      headers: { 'x-api-key': TEST_KEY },
      body: Buffer.from(bytes),
    });
    expect(sent.status).toBe(201);
    return (await sent.json()) as { sha256: string; name: string };
  }
  async function list(images: unknown): Promise<Shown> {
    const made = await a.request('POST', '/listings', { type: 'offer', title: 'x', images });
    expect(made.status, await made.clone().text()).toBe(201);
    return (await made.json()) as Shown;
  }
  const urlOf = ({ attachments }: Shown): string => attachments[0]?.url ?? '';

  it('whatever the bytes are made to look like, nothing of them runs', async () => {
    const types: [bytes: string | Buffer, type: string, how: string][] = [
      [
        `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">${SCRIPT}</svg>`,
        'text/plain; charset=utf-8',
        'inline',
      ],
      [`<!doctype html>${SCRIPT}`, 'text/plain; charset=utf-8', 'inline'],
      [`\ufeff${SCRIPT}`, 'text/plain; charset=utf-8', 'inline'],
      [Buffer.from(SCRIPT, 'utf16le'), 'application/octet-stream', 'attachment'],
      [`GIF89a/*${SCRIPT}*/=1;alert(1)`, 'image/gif', 'inline'],
      [Buffer.concat([PNG, Buffer.from(SCRIPT)]), 'image/png', 'inline'],
      [`%PDF-1.4\n${SCRIPT}`, 'application/pdf', 'attachment'],
      [`MZ\0\0${SCRIPT}`, 'application/octet-stream', 'attachment'],
      ['PK\x03\x04 a document with macros', 'application/octet-stream', 'attachment'],
    ];
    for (const [bytes, type, how] of types) {
      const sent = Buffer.from(bytes);
      const { sha256 } = await upload(sent);
      const got = await a.app.request(urlOf(await list([{ sha256 }])));
      expect(got.status).toBe(200);
      expect(Object.fromEntries(got.headers)).toMatchObject({
        'content-type': type,
        'content-disposition': how,
        'x-content-type-options': 'nosniff',
        'content-security-policy': "default-src 'none'; sandbox",
      });
      expect(Buffer.from(await got.arrayBuffer()).equals(sent)).toBe(true);
    }
  });

  const NAMES: [given: string, kept: string][] = [
    ['../../etc/passwd', 'passwd'],
    ['C:\\Windows\\a.exe', 'a.exe'],
    ['..', ''],
    ['a"; filename="b.exe', 'a"; filename="b.exe'],
    ['a\r\nset-cookie: x=1\r\n\r\n<html>', 'aset-cookie: x=1<html>'],
    ['a\r\nset-cookie: x=1', 'aset-cookie: x=1'],
    ['photo\u202egpj.exe', 'photogpj.exe'],
    ['a\u2028b\u2029c\0d', 'abcd'],
    ['mahindi ya njano.jpg', 'mahindi ya njano.jpg'],
    ['\u{1f33d}'.repeat(65), '\u{1f33d}'.repeat(64)],
  ];

  it('a file name is no path, no header and no disguise, whoever gave it', async () => {
    const { sha256 } = await upload(PNG);
    for (const [name, kept] of NAMES) {
      expect((await upload(PNG, `?name=${encodeURIComponent(name)}`)).name).toBe(kept);
      const own = await list([{ sha256, name }]);
      expect(own.attachments[0]?.name).toBe(kept);
    }
    expect((await upload(PNG, `?name=${'x'.repeat(1024)}`)).name).toBe('x'.repeat(128));
    const long = await list([{ sha256, name: 'x'.repeat(65_536) }]);
    expect(long.attachments[0]?.name).toBe('x'.repeat(128));
    const form = new FormData();
    form.set('file', new File([new Uint8Array(PNG)], `${'y'.repeat(65_536)}.png`));
    const sent = await a.app.request('/attachments', {
      method: 'POST',
      headers: { 'x-api-key': TEST_KEY },
      body: form,
    });
    expect(await sent.json()).toMatchObject({ name: 'y'.repeat(128) });
  });

  it('a name that another node has signed as it likes is shown and saved as one of this node', async () => {
    const { sha256 } = await upload(PNG);
    for (const [i, [name, kept]] of NAMES.entries()) {
      if (name.length > 128) continue;
      // Past the route, as a node with other code would write it.
      const images = [{ sha256, type: 'text/html', size: PNG.length, name }];
      await a.context.catalogue.putListing(`n${i}`, { type: 'offer', title: 'x', images });
      const id = `${a.peerId}.n${i}`;
      await waitFor('the listing', async () => (await b.request('GET', `/listings/${id}`)).ok);
      const there = (await (await b.request('GET', `/listings/${id}`)).json()) as Shown;
      expect(there.attachments[0]?.name).toBe(kept);
      const got = await b.request('GET', urlOf(there));
      expect(got.headers.get('content-type')).toBe('image/png');
      const disposition = got.headers.get('content-disposition') ?? '';
      expect(disposition).toMatch(/^inline(; filename\*=UTF-8''[\w.!~%-]+)?$/);
      const [, encoded = ''] = disposition.split("''");
      expect(decodeURIComponent(encoded)).toBe(kept);
      expect(got.headers.get('set-cookie')).toBeNull();
    }
  });

  it('HEAD is GET without the bytes, and If-None-Match is answered without them', async () => {
    const { sha256 } = await upload(PNG);
    const path = urlOf(await list([{ sha256, name: 'a.png' }]));
    const [get, head] = [await fetch(served.url + path), await fetch(served.url + path, { method: 'HEAD' })];
    expect((await get.arrayBuffer()).byteLength).toBe(PNG.length);
    expect([head.status, (await head.arrayBuffer()).byteLength]).toEqual([200, 0]);
    for (const name of [
      'content-type',
      'content-disposition',
      'etag',
      'x-content-type-options',
      'cache-control',
    ])
      expect(head.headers.get(name), name).toBe(get.headers.get(name));
    for (const [tag, status] of [
      [`"${sha256}"`, 304],
      [`W/"${sha256}", "x"`, 304],
      ['"x"', 200],
    ] as const)
      expect((await fetch(served.url + path, { headers: { 'if-none-match': tag } })).status, tag).toBe(
        status,
      );
    // Who may not see it is told nothing by a tag.
    const gone = path.replace(sha256, '0'.repeat(64));
    expect(
      (await fetch(served.url + gone, { headers: { 'if-none-match': `"${'0'.repeat(64)}"` } })).status,
    ).toBe(404);
  });

  it('what takes a key is in no cache that is shared', async () => {
    const { sha256 } = await upload(PNG);
    const made = await list([{ sha256 }]);
    await waitFor('the listing', async () => (await b.request('GET', `/listings/${made.id}`)).ok);
    expect((await b.app.request(urlOf(made))).status).toBe(403);
    const got = await b.request('GET', urlOf(made));
    expect(got.headers.get('cache-control')).toBe('private, max-age=86400, immutable');
    const open = await a.app.request(urlOf(made));
    expect(open.headers.get('cache-control')).toBe('public, max-age=86400, immutable');
  });

  it('images that name nothing are refused, by what is wrong with them', async () => {
    for (const [image, said] of [
      [{ sha256: 'AB'.repeat(32) }, '64 lower-case hex digits'],
      [{ sha256: 'ab' }, '64 lower-case hex digits'],
      [{ sha256: null }, '64 lower-case hex digits'],
      [{ sha256: 7, name: 'x' }, '64 lower-case hex digits'],
      [{ sha256: '0'.repeat(64) }, 'upload it first'],
      [`/attachments/listings/${a.peerId}.x/${'0'.repeat(64)}`, 'upload it first'],
    ] as const) {
      const given: unknown[] = [[image], JSON.stringify([image])];
      for (const images of given) {
        const refused = await a.request('POST', '/listings', { type: 'offer', title: 'x', images });
        const { code, message } = (await refused.json()) as { code: string; message: string };
        expect([refused.status, code]).toEqual([400, 'fields-invalid']);
        expect(message).toContain('images');
        expect(message).toContain(said);
      }
    }
    // What clients say of pictures elsewhere is theirs.
    const images = ['https://example.org/a.png', { url: 'https://example.org/b.png' }];
    expect((await a.request('POST', '/listings', { type: 'offer', title: 'x', images })).status).toBe(201);
  });

  it('an upload that is cut in the middle leaves nothing', async () => {
    const before = await a.node.db.level.keys(range('attachments')).all();
    const part = randomBytes(300_000);
    for (const head of ['content-length: 600000', 'transfer-encoding: chunked']) {
      const socket = connect(served.port, '127.0.0.1');
      socket.write(
        `POST /attachments HTTP/1.1\r\nHost: localhost\r\nx-api-key: ${TEST_KEY}\r\n${head}\r\n\r\n`,
      );
      const chunk = head.startsWith('transfer')
        ? Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')])
        : part;
      await new Promise((resolve) => socket.write(chunk, resolve));
      socket.destroy();
      await once(socket, 'close');
    }
    // Whatever was under way with these is over when a later one is answered.
    await upload(randomBytes(10));
    expect(await a.node.store.attachments.bytes(sha256Hex(part))).toBeUndefined();
    expect((await a.node.db.level.keys(range('attachments')).all()).length).toBe(before.length + 3);
  });
});
