import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomFrom, someIdentity } from '../../support/forge.ts';
import { draftEdit } from '../../../protocols/ledger/drafts.ts';
import { readField, withMark } from '../../../protocols/market/read-marks.ts';
import type { RecordKey } from '../../../protocols/wire/ids.ts';
import { befriend, startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

type Json = Readonly<Record<string, unknown>>;
interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json & unknown[];
}

describe('conversations over HTTP', () => {
  const dirs = [tempDir('chat-a'), tempDir('chat-b')];
  const keys = new Map<string, string>();
  let node: TestNode;
  let friend: TestNode;

  beforeAll(async () => {
    node = await startNode(dirs[0]?.path ?? '', { RATE_LIMIT: 'off' });
    friend = await startNode(dirs[1]?.path ?? '', { RATE_LIMIT: 'off' });
    await befriend(node, friend);
    for (const userId of ['amina', 'ben', 'eve']) {
      const made = await node.request('POST', '/api/keys', { userId, scopes: ['read', 'write'] });
      keys.set(userId, ((await made.json()) as { key: string }).key);
    }
    const made = await node.request('POST', '/api/keys', { userId: 'amina', scopes: ['read'] });
    keys.set('reader', ((await made.json()) as { key: string }).key);
  });
  afterAll(async () => {
    await Promise.all([node.stop(), friend.stop()]);
    for (const dir of dirs) dir.remove();
  });

  /** As a user with a key, as the operator, or as nobody. */
  async function as(
    who: string,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const key = keys.get(who);
    const response =
      who === 'operator'
        ? await node.request(method, path, body)
        : await node.app.request(path, {
            method,
            headers: {
              ...headers,
              ...(key === undefined ? {} : { 'x-api-key': key }),
              ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            },
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: (text === '' ? {} : JSON.parse(text)) as Answer['body'],
    };
  }
  async function begun(who: string, ...participants: string[]): Promise<string> {
    const { status, body } = await as(who, 'POST', '/conversations', { participants });
    expect(status).toBe(201);
    return String(body['id']);
  }
  async function said(who: string, id: string, content: string): Promise<string> {
    const { status, body } = await as(who, 'POST', `/messages/${id}`, { content });
    expect([status, body]).toMatchObject([201, { message: { content, type: 'text' } }]);
    return String((body['message'] as Json)['id']);
  }

  it('answers as old clients expect', async () => {
    const made = await as('amina', 'POST', '/conversations', {});
    expect(made).toMatchObject({
      status: 201,
      body: { title: 'New Chat', pinned: false, participants: [`amina@${node.peerId}`] },
    });
    const id = String(made.body['id']);
    expect(made.headers.get('location')).toBe(`/conversations/${id}`);
    expect(Date.parse(String(made.body['createdAt']))).toBeGreaterThan(0);
    for (const [method, title] of [
      ['PUT', 'Maize'],
      ['PATCH', 'Beans'],
    ] as const)
      expect(await as('amina', method, `/conversations/${id}`, { title })).toMatchObject({
        status: 200,
        body: { id, title },
      });
    expect(await as('amina', 'POST', `/conversations/${id}/pin`, { pinned: true })).toMatchObject({
      status: 200,
      body: { pinned: true, title: 'Beans' },
    });
    const sent = await as('amina', 'POST', `/messages/${id}`, {
      from: 'amina',
      to: 'ben',
      type: 'image',
      content: 'Habari',
      attachments: [{ url: 'https://example.org/a.png' }],
    });
    expect(sent).toMatchObject({
      status: 201,
      body: {
        message: {
          conversationId: id,
          from: `amina@${node.peerId}`,
          to: 'ben',
          type: 'image',
          content: 'Habari',
          attachments: [{ url: 'https://example.org/a.png' }],
        },
      },
    });
    const listed = await as('amina', 'GET', `/messages/${id}`);
    expect(listed.body).toEqual([sent.body['message']]);
    expect((await as('amina', 'GET', '/conversations')).body.map((each) => (each as Json)['id'])).toContain(
      id,
    );
    expect((await as('amina', 'DELETE', `/conversations/${id}`)).status).toBe(204);
    expect(
      (await as('amina', 'GET', '/conversations')).body.map((each) => (each as Json)['id']),
    ).not.toContain(id);
    // What was said stays with who took part; nothing more is said.
    expect((await as('amina', 'GET', `/messages/${id}`)).body).toEqual(listed.body);
    expect((await as('amina', 'GET', `/conversations/${id}`)).body).toMatchObject({ archived: true });
    for (const [method, path, body] of [
      ['DELETE', `/conversations/${id}`, undefined],
      ['PUT', `/conversations/${id}`, { title: 'x' }],
      ['POST', `/messages/${id}`, { content: 'x' }],
      ['PUT', '/conversations/nothing', { title: 'x' }],
      ['GET', '/messages/no%20id', undefined],
    ] as const)
      expect(await as('amina', method, path, body), path).toMatchObject({
        status: 404,
        body: { error: 'Not found' },
      });
  });

  it('does not exist for who takes no part', async () => {
    const id = await begun('amina', 'ben');
    const message = await said('amina', id, 'between us');
    for (const who of ['eve', 'nobody', 'reader'])
      for (const [method, path, given] of [
        ['GET', `/conversations/${id}`, undefined],
        ['PUT', `/conversations/${id}`, { title: 'x' }],
        ['PATCH', `/conversations/${id}`, { title: 'x' }],
        ['POST', `/conversations/${id}/pin`, { pinned: true }],
        ['DELETE', `/conversations/${id}`, undefined],
        ['GET', `/messages/${id}`, undefined],
        ['POST', `/messages/${id}`, { content: 'x' }],
        ['POST', `/messages/${id}/read`, { messageId: message }],
        ['GET', `/stream/${id}`, undefined],
        ['POST', `/stream/${id}/tokens`, { id: 'a', token: 'b' }],
      ] as const) {
        const { status, body } = await as(who, method, path, given);
        // A key with too few rights, or none, is refused before anything is looked up.
        expect([status, who], `${who} ${method} ${path}`).toEqual([who === 'eve' ? 404 : 403, who]);
        expect(JSON.stringify(body)).not.toContain('between us');
      }
    const ids = async (who: string, query = '') =>
      (await as(who, 'GET', `/conversations${query}`)).body.map((each) => (each as Json)['id']);
    expect(await ids('eve')).not.toContain(id);
    expect(await ids('eve', '?participant=amina')).toEqual([]);
    expect(await ids('ben', '?participant=amina')).toEqual([id]);
    expect(await ids('ben', '?participant=eve')).toEqual([]);
    expect(await ids('operator')).toContain(id);
    expect((await as('ben', 'GET', `/messages/${id}`)).body).toMatchObject([{ content: 'between us' }]);
  });

  it('is listed a page at a time', async () => {
    const mine = new Set<string>();
    for (let i = 0; i < 5; i++) {
      mine.add(await begun('eve'));
      await begun('amina');
    }
    const seen: unknown[] = [];
    let cursor = '';
    do {
      const page = await as('eve', 'GET', `/conversations?limit=2${cursor && `&cursor=${cursor}`}`);
      expect(page.body.length).toBeLessThanOrEqual(2);
      seen.push(...page.body.map((each) => (each as Json)['id']));
      cursor = page.headers.get('x-next-cursor') ?? '';
    } while (cursor !== '');
    expect(seen).toHaveLength(5);
    expect(new Set(seen)).toEqual(mine);
  });

  it('lets users speak and read for themselves only', async () => {
    const id = await begun('amina', 'ben', `cleo@${friend.peerId}`);
    for (const from of ['ben', `ben@${node.peerId}`, `amina@${friend.peerId}`, 'eve'])
      expect(await as('amina', 'POST', `/messages/${id}`, { from, content: 'x' }), from).toMatchObject({
        status: 403,
        body: { code: 'forbidden' },
      });
    // A namesake elsewhere is somebody else.
    for (const from of ['eve', `cleo@${friend.peerId}`, `ben@${friend.peerId}`])
      expect(await as('operator', 'POST', `/messages/${id}`, { from, content: 'x' }), from).toMatchObject({
        status: 403,
        body: { code: 'forbidden' },
      });
    expect(await as('operator', 'POST', `/messages/${id}`, { content: 'x' })).toMatchObject({
      status: 400,
      body: { code: 'fields-invalid' },
    });
    expect((await as('operator', 'POST', `/messages/${id}`, { from: 'ben', content: 'x' })).status).toBe(201);
    const messageId = await said('amina', id, 'read me');
    expect((await as('amina', 'POST', `/messages/${id}/read`, { messageId, userId: 'ben' })).status).toBe(
      403,
    );
    expect((await as('ben', 'POST', `/messages/${id}/read`, { messageId })).status).toBe(200);
    expect((await as('amina', 'GET', `/conversations/${id}`)).body).toMatchObject({
      read: { [`ben@${node.peerId}`]: messageId },
      hidden: [],
    });
  });

  it('shows as read by a user only what the user’s node has noted', async () => {
    const id = await begun('amina', `cleo@${friend.peerId}`);
    const messageId = await said('amina', id, 'read me');
    const path = `/conversations/${id}`;
    const readAt = async (at: TestNode) => {
      const response = await at.request('GET', path);
      return response.ok ? ((await response.json()) as { read: Json }).read : undefined;
    };
    await waitFor('it to be with the friend', async () => {
      const page = await friend.request('GET', `/messages/${id}`);
      return page.ok && ((await page.json()) as unknown[]).length === 1;
    });
    const key = `conversations/${id.replace('.', '/')}` as RecordKey;
    // A node that does not keep to the rules writes into the other's field: no node takes it for a mark.
    await friend.node.ledger.write({
      keys: [key],
      draft: (pen, read) => {
        const known = read(key);
        const members = known?.members;
        if (members === undefined) throw new Error('no members');
        const forged = withMark(undefined, members, 'amina', messageId);
        return [
          draftEdit(pen, key, key, known, { [readField(members, node.node.identity.peerId) ?? '']: forged }),
        ];
      },
    });
    const noted = await friend.request('POST', `/messages/${id}/read`, { messageId, userId: 'cleo' });
    expect(noted.status).toBe(200);
    const cleo = { [`cleo@${friend.peerId}`]: messageId };
    await waitFor('the receipt', async () => (await readAt(node))?.[`cleo@${friend.peerId}`] === messageId);
    for (const each of [node, friend]) expect(await readAt(each)).toEqual(cleo);
    const next = await said('amina', id, 'and this');
    await as('amina', 'POST', `/messages/${id}/read`, { messageId: next });
    expect(await readAt(node)).toEqual({ ...cleo, [`amina@${node.peerId}`]: next });
  });

  it('names participants of other nodes only when those are registered and active', async () => {
    const stranger = someIdentity(randomFrom(9)).peerId;
    const asked = (participant: string) =>
      as('amina', 'POST', '/conversations', { participants: [participant] });
    for (const participant of [`x@${stranger}`, 'x@example.org']) {
      const { status, body } = await asked(participant);
      expect([status, body['code']], participant).toEqual([409, 'party-unknown']);
      expect(body['error']).toContain('agrinet join');
    }
    expect((await asked(`cleo@${friend.peerId}`)).status).toBe(201);
    await node.request('POST', `/federation/nodes/${friend.peerId}/suspend`);
    expect((await asked(`cleo@${friend.peerId}`)).body['code']).toBe('party-unknown');
    await node.request('POST', `/federation/nodes/${friend.peerId}/resume`);
    expect((await asked(`cleo@${friend.peerId}`)).status).toBe(201);
  });

  it('refuses what it cannot hold', async () => {
    const id = await begun('amina');
    for (const [path, body] of [
      ['/conversations', { title: 'x'.repeat(257) }],
      ['/conversations', { participants: Array.from({ length: 65 }, (_, i) => `u${i}`) }],
      ['/conversations', { participants: ['a\nb'] }],
      ['/conversations', { participants: [''] }],
      ['/conversations', { metadata: { text: 'x'.repeat(9000) } }],
      ['/conversations', { title: '\ud800' }],
      [`/messages/${id}`, { content: 'x'.repeat(16_385) }],
      [`/messages/${id}`, { content: '\ud800' }],
      [`/messages/${id}`, { content: 'x', type: 'video' }],
      [`/messages/${id}`, { content: 'x', attachments: ['y'.repeat(9000)] }],
      [`/messages/${id}`, {}],
      [`/messages/${id}/read`, {}],
    ] as const)
      expect(
        [(await as('amina', 'POST', path, body)).status, path],
        JSON.stringify(body).slice(0, 80),
      ).toEqual([400, path]);
    expect((await as('amina', 'GET', `/messages/${id}`)).body).toEqual([]);
    expect((await as('amina', 'GET', `/messages/${id}?limit=0`)).status).toBe(400);
    expect((await as('amina', 'GET', `/messages/${id}?before=nothing`)).status).toBe(404);
  });

  it('pages backwards by message id', async () => {
    const id = await begun('amina');
    const ids: string[] = [];
    for (let i = 0; i < 7; i++) ids.push(await said('amina', id, `m${i}`));
    const page = async (query: string) =>
      (await as('amina', 'GET', `/messages/${id}${query}`)).body.map((each) => (each as Json)['id']);
    expect(await page('')).toEqual(ids);
    expect(await page('?limit=3')).toEqual(ids.slice(4));
    expect(await page(`?limit=3&before=${ids[4]}`)).toEqual(ids.slice(1, 4));
    expect(await page(`?limit=3&before=${ids[1]}`)).toEqual(ids.slice(0, 1));
    expect(await page(`?before=${ids[0]}`)).toEqual([]);
  });

  it('carries out a repeated request once', async () => {
    const key = { 'idempotency-key': 'chat-1' };
    const body = { title: 'once' };
    const one = await as('amina', 'POST', '/conversations', body, key);
    const two = await as('amina', 'POST', '/conversations', body, key);
    expect(two.body).toEqual(one.body);
    const id = String(one.body['id']);
    for (let i = 0; i < 3; i++) await as('amina', 'POST', `/messages/${id}`, { content: 'once' }, key);
    expect((await as('amina', 'GET', `/messages/${id}`)).body).toHaveLength(1);
  });
});
