import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UPLOAD_LIMITS } from '../../../daemon/attachments/attachments.ts';
import { ATTACHMENT_LIMITS } from '../../../protocols/market/attachment.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import type { RecordKey } from '../../../protocols/wire/ids.ts';
import { befriend, startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

const PNG = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), randomBytes(500)]);
const PDF = Buffer.from('%PDF-1.4 a page\n');

interface Upload {
  readonly sha256: string;
  readonly type: string;
  readonly size: number;
  readonly name: string;
}
interface Shown {
  readonly id: string;
  readonly images?: readonly string[];
  readonly attachments?: readonly { readonly url: string; readonly sha256: string }[];
}
interface Message {
  readonly id: string;
  readonly type: string;
  readonly content: string;
  readonly attachments: readonly unknown[];
  readonly file: { readonly path: string; readonly originalname: string; readonly mimetype: string };
}

describe('attachments', () => {
  const dirs = ['a', 'b', 'c'].map((name) => tempDir(`attachments-${name}`));
  const keys = new Map<string, string>();
  let [a, b, c]: TestNode[] = [];

  const nodes = (): [TestNode, TestNode, TestNode] => {
    if (a === undefined || b === undefined || c === undefined) throw new Error('not started');
    return [a, b, c];
  };

  beforeAll(async () => {
    const start = (i: number): Promise<TestNode> => startNode(dirs[i]?.path ?? '', { RATE_LIMIT: 'off' });
    [a, b, c] = [await start(0), await start(1), await start(2)];
    for (const [one, other] of [
      [a, b],
      [a, c],
      [b, c],
    ] as const)
      await befriend(one, other);
    for (const [node, userId] of [
      [a, 'mary'],
      [a, 'eve'],
      [b, 'amina'],
      [c, 'njeri'],
    ] as const) {
      const made = await node.request('POST', '/api/keys', { userId, scopes: ['read', 'write'] });
      keys.set(userId, ((await made.json()) as { key: string }).key);
    }
  });
  afterAll(async () => {
    await Promise.all([a, b, c].map(async (node) => node?.stop()));
    for (const dir of dirs) dir.remove();
  });

  async function as(
    node: TestNode,
    user: string,
    method: string,
    path: string,
    body?: BodyInit | object,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const isPlain = body !== undefined && Object.getPrototypeOf(body) === Object.prototype;
    const key = user === 'nobody' ? {} : { 'x-api-key': keys.get(user) ?? TEST_KEY };
    return node.app.request(path, {
      method,
      headers: { ...key, ...(isPlain ? { 'content-type': 'application/json' } : {}), ...headers },
      ...(body === undefined ? {} : { body: isPlain ? JSON.stringify(body) : (body as BodyInit) }),
    });
  }
  async function upload(node: TestNode, user: string, bytes: Uint8Array, name = ''): Promise<Upload> {
    const answer = await as(
      node,
      user,
      'POST',
      `/attachments?name=${encodeURIComponent(name)}`,
      Buffer.from(bytes),
    );
    expect(answer.status).toBe(201);
    return (await answer.json()) as Upload;
  }
  async function list(node: TestNode, user: string, images: readonly unknown[], id?: string): Promise<Shown> {
    const listing = { type: 'offer', title: 'Maize', images };
    const answer =
      id === undefined
        ? await as(node, user, 'POST', '/listings', listing)
        : await as(node, user, 'PUT', `/listings/${id}`, listing);
    expect(answer.status, await answer.clone().text()).toBeLessThan(300);
    return (await answer.json()) as Shown;
  }
  const pathOf = (url: string | undefined): string => url?.slice(url.indexOf('/attachments/')) ?? '';

  /** A conversation between mary and amina, on both of their nodes. */
  async function chat(): Promise<string> {
    const [first, second] = nodes();
    const made = await as(first, 'mary', 'POST', '/conversations', {
      title: 't',
      participants: [`amina@${second.peerId}`],
    });
    const { id } = (await made.json()) as { id: string };
    await waitFor('it to come', async () => (await as(second, 'amina', 'GET', `/conversations/${id}`)).ok);
    return id;
  }
  async function messages(node: TestNode, user: string, id: string): Promise<Message[]> {
    return (await (await as(node, user, 'GET', `/messages/${id}`)).json()) as Message[];
  }

  it('a picture of a listing is uploaded, named, and fetched by another node on demand', async () => {
    const [first, second] = nodes();
    const up = await upload(first, 'mary', PNG, 'C:\\photos\\maize.png');
    expect(up).toEqual({ sha256: sha256Hex(PNG), type: 'image/png', size: PNG.length, name: 'maize.png' });
    const made = await list(first, 'mary', [
      { sha256: up.sha256, name: up.name },
      'https://example.org/x.png',
    ]);
    const path = `/attachments/listings/${made.id}/${up.sha256}`;
    expect(made.images).toEqual([path, 'https://example.org/x.png']);
    expect(made.attachments).toEqual([{ ...up, url: path }]);
    await waitFor('the listing', async () => (await second.request('GET', `/listings/${made.id}`)).ok);
    expect(await second.node.store.attachments.bytes(up.sha256)).toBeUndefined();
    const got = await as(second, 'nobody', 'GET', path);
    expect(got.status).toBe(200);
    expect(Buffer.from(await got.arrayBuffer()).equals(PNG)).toBe(true);
    expect(Object.fromEntries(got.headers)).toMatchObject({
      'content-type': 'image/png',
      'content-disposition': "inline; filename*=UTF-8''maize.png",
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
      'cache-control': 'public, max-age=86400, immutable',
      etag: `"${up.sha256}"`,
    });
    expect(await second.node.store.attachments.bytes(up.sha256)).toBeDefined();
    const again = await as(second, 'nobody', 'GET', path, undefined, { 'if-none-match': `"${up.sha256}"` });
    expect([again.status, (await again.arrayBuffer()).byteLength]).toEqual([304, 0]);
    expect(
      (await as(second, 'nobody', 'GET', `/attachments/listings/${made.id}/${'0'.repeat(64)}`)).status,
    ).toBe(404);
  });

  it('what a client gets can be sent back: URLs of this node, references, and lists in a text', async () => {
    const [first] = nodes();
    const up = await upload(first, 'mary', randomBytes(50), 'one');
    const made = await list(first, 'mary', [{ sha256: up.sha256, name: 'one' }]);
    const back = await list(first, 'mary', made.images ?? [], made.id);
    expect(back.attachments).toEqual(made.attachments);
    const asText = await as(first, 'mary', 'PATCH', `/listings/${made.id}`, {
      images: JSON.stringify(made.attachments),
    });
    expect(((await asText.json()) as Shown).attachments).toEqual(made.attachments);
  });

  it('names nothing that its caller has not uploaded, in whatever form', async () => {
    const [first] = nodes();
    const up = await upload(first, 'mary', randomBytes(50));
    for (const images of [
      [{ sha256: up.sha256 }],
      JSON.stringify([{ ...up }]),
      [`/attachments/listings/${first.peerId}.x/${up.sha256}`],
    ]) {
      const refused = await as(first, 'eve', 'POST', '/listings', { type: 'offer', title: 'x', images });
      expect([refused.status, await refused.json()]).toMatchObject([400, { code: 'fields-invalid' }]);
    }
    // The operator may, and so may whoever has sent the same bytes.
    expect(
      (await first.request('POST', '/listings', { type: 'offer', title: 'x', images: [up] })).status,
    ).toBe(201);
  });

  it('a record names as many as it may, and no more', async () => {
    const [first] = nodes();
    const ups: Upload[] = [];
    for (let i = 0; i <= ATTACHMENT_LIMITS.perRecord; i++) {
      ups.push(await upload(first, 'mary', randomBytes(10)));
      if (i % 8 === 7) await list(first, 'mary', ups.slice(-8));
    }
    const most = await list(first, 'mary', ups.slice(0, ATTACHMENT_LIMITS.perRecord));
    expect(most.attachments).toHaveLength(ATTACHMENT_LIMITS.perRecord);
    const over = await as(first, 'mary', 'POST', '/listings', { type: 'offer', title: 'x', images: ups });
    expect(over.status).toBe(400);
  });

  it('an upload has one megabyte at most, raw, in a form, in a message and under gzip', async () => {
    const [first] = nodes();
    const id = await chat();
    const most = Buffer.alloc(ATTACHMENT_LIMITS.attachmentBytes, 'a');
    const over = Buffer.concat([most, Buffer.from('a')]);
    const { gzipSync } = await import('node:zlib');
    const form = (bytes: Buffer): FormData => {
      const made = new FormData();
      made.set('file', new File([new Uint8Array(bytes)], 'a.txt'));
      return made;
    };
    for (const [bytes, status] of [
      [most, 201],
      [over, 413],
    ] as const) {
      const zipped = { 'content-encoding': 'gzip' };
      expect((await as(first, 'mary', 'POST', '/attachments', bytes)).status).toBe(status);
      expect((await as(first, 'mary', 'POST', '/attachments', form(bytes))).status).toBe(status);
      expect((await as(first, 'mary', 'POST', '/attachments', gzipSync(bytes), zipped)).status).toBe(status);
      expect((await as(first, 'mary', 'POST', `/messages/${id}`, form(bytes))).status).toBe(status);
      const file = { name: 'a.txt', type: 'x/y', data: bytes.toString('base64') };
      expect((await as(first, 'mary', 'POST', `/messages/${id}`, { content: '', file })).status).toBe(status);
    }
    expect((await as(first, 'mary', 'POST', '/attachments', Buffer.alloc(0))).status).toBe(400);
    const broken = await as(first, 'mary', 'POST', '/attachments', 'no form', {
      'content-type': 'multipart/form-data; boundary=x',
    });
    expect(await broken.json()).toMatchObject({ code: 'body-malformed' });
  });

  it('a file of a message, as old clients send it, is for the participants alone', async () => {
    const [first, second, third] = nodes();
    const id = await chat();
    const sent = await as(first, 'mary', 'POST', `/messages/${id}`, {
      content: '',
      type: 'file',
      file: { name: 'papers.pdf', type: 'application/pdf', data: PDF.toString('base64') },
    });
    expect(sent.status).toBe(201);
    const { message } = (await sent.json()) as { message: Message };
    const path = `/attachments/messages/${message.id}/${sha256Hex(PDF)}`;
    expect(message.file).toEqual({
      path,
      originalname: 'papers.pdf',
      mimetype: 'application/pdf',
      size: PDF.length,
      sha256: sha256Hex(PDF),
    });
    const [there] = await waitFor('the message', async () => {
      const all = await messages(second, 'amina', id);
      return all.length > 0 && all;
    });
    expect(there?.file).toEqual(message.file);
    // Nobody without a key, no other user of a node that takes part, and not a third node, not even with its operator's key.
    for (const [node, user] of [
      [second, 'nobody'],
      [first, 'eve'],
      [third, 'njeri'],
      [third, 'operator'],
    ] as const)
      expect((await as(node, user, 'GET', path)).status, user).toBe(404);
    const got = await as(second, 'nobody', 'GET', `${path}?x-api-key=${keys.get('amina') ?? ''}`);
    expect(Buffer.from(await got.arrayBuffer()).equals(PDF)).toBe(true);
    expect(Object.fromEntries(got.headers)).toMatchObject({
      'content-type': 'application/pdf',
      'content-disposition': "attachment; filename*=UTF-8''papers.pdf",
      'cache-control': 'private, max-age=86400, immutable',
    });
    const key = `messages/${message.id.replace('.', '/')}` as RecordKey;
    const request = { record: key, sha256: sha256Hex(PDF) };
    expect(await first.context.attachments.answer(third.peerId, request)).toBeUndefined();
    expect(await first.context.attachments.answer(second.peerId, request)).toBeDefined();
  });

  it('a form is a message like one in JSON, and a picture makes it an image', async () => {
    const [first] = nodes();
    const id = await chat();
    const form = new FormData();
    form.set('message', 'look');
    form.set('file', new File([new Uint8Array(PNG)], 'look.png'));
    const sent = await as(first, 'mary', 'POST', `/messages/${id}`, form);
    const { message } = (await sent.json()) as { message: Message };
    expect(message).toMatchObject({ type: 'image', content: 'look', file: { originalname: 'look.png' } });
    const outside = await as(first, 'eve', 'POST', `/messages/${id}`, {
      content: '',
      file: { data: randomBytes(9).toString('base64') },
    });
    expect(outside.status).toBe(404);
    for (const data of ['%%%', 'abc', 'ab=c'])
      expect(
        (await as(first, 'mary', 'POST', `/messages/${id}`, { content: '', file: { data } })).status,
      ).toBe(400);
  });

  it('what is held for a conversation is given for no other record that names it', async () => {
    const [first, second, third] = nodes();
    const secret = randomBytes(60);
    const sha256 = sha256Hex(secret);
    const id = await chat();
    const file = { name: 's', data: secret.toString('base64') };
    const sent = await as(first, 'mary', 'POST', `/messages/${id}`, { content: '', file });
    const { message } = (await sent.json()) as { message: Message };
    await waitFor('the message', async () => (await messages(second, 'amina', id)).length > 0);
    expect((await as(second, 'amina', 'GET', pathOf(message.file.path))).status).toBe(200);
    // The third knows the hash alone, and lists it as a picture of its own.
    const key = `listings/${third.peerId}/bait`;
    await third.context.catalogue.putListing('bait', {
      type: 'offer',
      title: 'bait',
      images: [{ sha256, type: 'image/png', size: 60, name: '' }],
    });
    for (const node of [first, second]) {
      await waitFor('the bait', async () => (await node.request('GET', `/listings/${third.peerId}.bait`)).ok);
      const request = { record: key as RecordKey, sha256 };
      expect(await node.context.attachments.answer(third.peerId, request)).toBeUndefined();
    }
    const path = `/attachments/listings/${third.peerId}.bait/${sha256}`;
    for (const node of [first, second, third])
      expect((await as(node, 'nobody', 'GET', path)).status).toBe(503);
  });

  it('what nothing names any more is gone, from peers too; what was erased leaves no byte in the table', async () => {
    const [first, second] = nodes();
    const up = await upload(first, 'mary', randomBytes(70));
    const made = await list(first, 'mary', [up]);
    const other = await list(first, 'mary', [up]);
    await waitFor('both', async () => (await second.request('GET', `/listings/${other.id}`)).ok);
    await waitFor('both', async () => (await second.request('GET', `/listings/${made.id}`)).ok);
    expect((await as(second, 'nobody', 'GET', pathOf(made.images?.[0]))).status).toBe(200);
    expect((await as(first, 'mary', 'DELETE', `/listings/${made.id}?erase=true`)).status).toBe(200);
    // The other listing names it still.
    expect((await as(first, 'nobody', 'GET', pathOf(other.images?.[0]))).status).toBe(200);
    expect((await as(first, 'mary', 'DELETE', `/listings/${other.id}?erase=true`)).status).toBe(200);
    expect(await first.node.store.attachments.bytes(up.sha256)).toBeUndefined();
    expect(await first.node.store.attachments.charged(second.peerId)).toBe(0);
    await waitFor(
      'it to be gone there',
      async () => (await second.node.store.attachments.bytes(up.sha256)) === undefined,
    );
    expect(await second.node.store.attachments.isHeld(up.sha256, 'public')).toBe(false);
  });

  it('uploads that nothing names are counted for each user', async () => {
    const [first] = nodes();
    for (let i = 0; i < UPLOAD_LIMITS.unnamed; i++) await upload(first, 'eve', randomBytes(20));
    const over = await as(first, 'eve', 'POST', '/attachments', randomBytes(20));
    expect([over.status, await over.json()]).toMatchObject([507, { code: 'attachments-full' }]);
    await upload(first, 'mary', randomBytes(20));
  });
});
