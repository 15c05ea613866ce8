import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Federation, type Member, sameDigest } from '../support/federation.ts';
import { filesWith } from '../support/files-with.ts';
import { waitFor } from '../support/wait.ts';
import { listenTo, type SseClient } from '../unit/events/event-server.ts';

// Text that is nowhere else, so that a raw search for it means something.
const TITLE = 'quince-lantern-77-under-the-bridge';
const WORD = 'otter-brick-19-before-the-rains';

interface Message {
  readonly id: string;
  readonly from: string;
  readonly content: string;
}
interface Conversation {
  readonly id: string;
  readonly title: string;
  readonly participants: readonly string[];
  readonly read: Readonly<Record<string, string>>;
  readonly conflicts?: Readonly<Record<string, unknown>>;
}

describe('a conversation between two of three nodes', () => {
  const federation = new Federation();
  const keys = new Map<string, string>();
  const streams: SseClient[] = [];
  let a: Member;
  let b: Member;
  let c: Member;
  let id = '';

  async function as(member: Member, user: string, method: string, path: string, body?: unknown) {
    return fetch(member.url + path, {
      method,
      headers: {
        'x-api-key': keys.get(user) ?? '',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }
  async function say(member: Member, user: string, content: string): Promise<Message> {
    const response = await as(member, user, 'POST', `/messages/${id}`, { content });
    expect(response.status).toBe(201);
    return ((await response.json()) as { message: Message }).message;
  }
  /** Everything said, by pages of seven. */
  async function saidAt(member: Member, user: string): Promise<Message[]> {
    const all: Message[] = [];
    for (let before = ''; ;) {
      const page = await as(member, user, 'GET', `/messages/${id}?limit=7${before}`);
      const messages = page.ok ? ((await page.json()) as Message[]) : [];
      all.unshift(...messages);
      const [first] = messages;
      if (first === undefined) return all;
      before = `&before=${first.id}`;
    }
  }
  const conversationAt = async (member: Member, user: string): Promise<Conversation> =>
    (await (await as(member, user, 'GET', `/conversations/${id}`)).json()) as Conversation;

  beforeAll(async () => {
    a = await federation.add();
    b = await federation.add();
    c = await federation.add();
    await federation.registerAll();
    for (const [member, userId] of [
      [a, 'amina'],
      [b, 'ben'],
      [b, 'bea'],
      [c, 'cleo'],
    ] as const) {
      const scopes = ['read', 'write'];
      keys.set(userId, (await member.json<{ key: string }>('POST', '/api/keys', { userId, scopes })).key);
    }
  });
  afterAll(async () => {
    for (const stream of streams) stream.close();
    await federation.close();
  });

  it('reaches the other, who hears it on the stream and answers', async () => {
    const made = await as(a, 'amina', 'POST', '/conversations', {
      title: TITLE,
      participants: [`ben@${b.peerId}`],
    });
    expect(made.status).toBe(201);
    const { participants, ...rest } = (await made.json()) as Conversation;
    expect(participants).toEqual([`amina@${a.peerId}`, `ben@${b.peerId}`]);
    id = rest.id;
    await waitFor(
      'it to be with the other node',
      async () => (await conversationAt(b, 'ben')).title === TITLE,
    );
    expect((await (await as(b, 'ben', 'GET', '/conversations')).json()) as Conversation[]).toMatchObject([
      { id },
    ]);

    const stream = await listenTo(`${b.url}/stream/${id}`, { 'x-api-key': keys.get('ben') ?? '' });
    streams.push(stream);
    expect(stream.status).toBe(200);
    const sent = await say(a, 'amina', WORD);
    await waitFor('the stream to tell it', () => stream.messages.some(({ event }) => event === 'message'));
    const [heard] = stream.messages.filter(({ event }) => event === 'message');
    expect(heard?.data).toMatchObject({
      message: { id: sent.id, conversationId: id, from: `amina@${a.peerId}`, content: WORD },
    });
    const answer = await say(b, 'ben', 'yes');
    await waitFor('the answer', async () => (await saidAt(a, 'amina')).length === 2);
    expect(await saidAt(a, 'amina')).toEqual(await saidAt(b, 'ben'));
    expect(
      (await as(b, 'ben', 'POST', `/messages/${id}/read`, { messageId: answer.id, userId: 'ben' })).status,
    ).toBe(200);
    await waitFor(
      'the receipt',
      async () => (await conversationAt(a, 'amina')).read[`ben@${b.peerId}`] === answer.id,
    );
  });

  it('is not for another user of a node that takes part', async () => {
    for (const path of [`/conversations/${id}`, `/messages/${id}`, `/stream/${id}`])
      expect((await as(b, 'bea', 'GET', path)).status, path).toBe(404);
    expect(await (await as(b, 'bea', 'GET', '/conversations')).json()).toEqual([]);
  });

  it('stands in one order on both after they wrote cut off from one another', async () => {
    const before = (await saidAt(a, 'amina')).length;
    // Deaf to one another, as in a partition: neither takes what the other writes.
    await a.json('POST', `/federation/nodes/${b.peerId}/suspend`);
    await b.json('POST', `/federation/nodes/${a.peerId}/suspend`);
    for (let i = 0; i < 12; i++)
      await Promise.all([say(a, 'amina', `from a ${i}`), say(b, 'ben', `from b ${i}`)]);
    await Promise.all([
      as(a, 'amina', 'PATCH', `/conversations/${id}`, { title: `${TITLE} of a` }),
      as(b, 'ben', 'PUT', `/conversations/${id}`, { title: `${TITLE} of b` }),
    ]);
    expect((await saidAt(a, 'amina')).map(({ content }) => content)).not.toContain('from b 0');
    await a.json('POST', `/federation/nodes/${b.peerId}/resume`);
    await b.json('POST', `/federation/nodes/${a.peerId}/resume`);
    const [here, there] = await waitFor(
      'both to have everything',
      async () => {
        const both = await Promise.all([saidAt(a, 'amina'), saidAt(b, 'ben')]);
        return both.every(({ length }) => length === before + 24) && both;
      },
      30_000,
    );
    expect(here).toEqual(there);
    // Each sees its own words in the order it said them.
    for (const who of ['a', 'b'])
      expect(here.map(({ content }) => content).filter((text) => text.startsWith(`from ${who} `))).toEqual(
        Array.from({ length: 12 }, (_, i) => `from ${who} ${i}`),
      );
    const last = await say(b, 'ben', 'after all of it');
    await waitFor('it to come', async () => (await saidAt(a, 'amina')).at(-1)?.id === last.id);
    const titles = await waitFor('the titles to meet', async () => {
      const both = await Promise.all([conversationAt(a, 'amina'), conversationAt(b, 'ben')]);
      return both.every(({ conflicts }) => conflicts?.['title'] !== undefined) && both;
    });
    expect(titles[0]).toEqual(titles[1]);
  });

  it('is the same after a restart, and goes on', async () => {
    const before = await saidAt(b, 'ben');
    await b.stop();
    b = await federation.start(b.dir, { API_KEY: b.apiKey });
    expect(await saidAt(b, 'ben')).toEqual(before);
    const next = await say(b, 'ben', 'back again');
    await waitFor('it to come', async () => (await saidAt(a, 'amina')).at(-1)?.id === next.id, 30_000);
    expect(await saidAt(b, 'ben')).toEqual(await saidAt(a, 'amina'));
  });

  it('is not known to exist by the third', async () => {
    const local = id.slice(id.indexOf('.') + 1);
    expect(local).toMatch(/^[\w-]{43}$/);
    const guesses: [string, string][] = [
      ['GET', `/conversations/${id}`],
      ['GET', `/messages/${id}`],
      ['GET', `/stream/${id}`],
      ['POST', `/messages/${id}`],
      ['DELETE', `/conversations/${id}`],
    ];
    for (const [method, path] of guesses) {
      const body = method === 'POST' ? { from: 'cleo', content: 'x' } : undefined;
      expect((await c.request(method, path, body)).status, `${method} ${path}`).toBe(404);
    }
    // What it holds, and what the two that hold it tell others.
    const told = [
      '/federation/feeds',
      '/federation/digest',
      '/federation/export',
      '/conflicts',
      '/logs',
      '/',
    ];
    const channel = encodeURIComponent(`conversations/${id.replace('.', '/')}`);
    told.push(`/federation/feeds/${a.peerId}`, `/federation/feeds/${a.peerId}?channel=${channel}`);
    for (const member of federation.members)
      for (const path of told) {
        // The two's own operators may see their own; others ask without a key.
        const response = member === c ? await c.request('GET', path) : await fetch(member.url + path);
        const text = Buffer.from(await response.arrayBuffer()).toString('latin1');
        for (const secret of [TITLE, WORD, local]) expect(text, `${member.url}${path}`).not.toContain(secret);
      }
    // A channel that exists is answered for as one that does not.
    const made = encodeURIComponent(`conversations/${a.peerId}/${'A'.repeat(43)}`);
    const answers = [];
    for (const each of [channel, made]) {
      const response = await fetch(`${a.url}/federation/feeds/${a.peerId}?channel=${each}`);
      const { code, message } = (await response.json()) as Record<string, string>;
      answers.push([response.status, code, message]);
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]?.[0]).toBe(403);
    expect(await c.json('GET', '/conversations')).toEqual([]);
  });

  it('leaves no byte of it with the third', async () => {
    // A public record of the same author has come all the way: the way was open.
    await a.json('POST', '/listings', { type: 'request', title: 'Maize wanted' });
    await sameDigest([a, b, c], 20_000, (state) => Object.keys(state.owners).includes(a.peerId));
    await Promise.all([a, b, c].map((member) => member.request('GET', '/federation/sync')));
    for (const stream of streams) stream.close();
    await Promise.all([a, b, c].map((member) => member.stop()));
    for (const text of [TITLE, WORD, id.slice(id.indexOf('.') + 1)]) {
      expect(filesWith(c.dir, text)).toEqual([]);
      // The search finds what is there.
      for (const member of [a, b]) expect(filesWith(member.dir, text), text).not.toEqual([]);
    }
  });
});
