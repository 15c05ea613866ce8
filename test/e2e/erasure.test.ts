import { rmSync } from 'node:fs';
import { join as path } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agrinetHere } from '../support/cli.ts';
import { join } from '../support/daemon.ts';
import { complaints, Federation, type Member, sameDigest } from '../support/federation.ts';
import { filesWith } from '../support/files-with.ts';
import { waitFor } from '../support/wait.ts';

// Text that is nowhere else, so that a raw search for it means something.
const MESSAGE = 'zebra-quartz-51-said-behind-the-mill';
const LISTING = 'ochre-lagoon-77-crates-of-maize';
const KEPT = 'plain-willow-12-stays-where-it-is';

interface Message {
  readonly id: string;
  readonly content: string;
}

describe('an erasure', () => {
  const federation = new Federation();
  let author: Member;
  let reader: Member;
  let third: Member;
  let conversation = '';
  let message = '';
  let listing = '';

  const messagesAt = async (member: Member): Promise<string[]> => {
    const response = await member.request('GET', `/messages/${conversation}`);
    return response.ok ? ((await response.json()) as Message[]).map(({ content }) => content) : [];
  };

  /** As somebody whose answer may be asked for again. */
  async function repeatable(url: string, body: unknown): Promise<Response> {
    return fetch(author.url + url, {
      method: 'POST',
      headers: {
        'x-api-key': author.apiKey,
        'content-type': 'application/json',
        'idempotency-key': `key-of-${url.split('/')[1] ?? ''}`,
      },
      body: JSON.stringify(body),
    });
  }
  const said = { from: 'ann', content: MESSAGE };
  const offered = { type: 'offer', title: LISTING, notes: `${LISTING} and more`, price: 41 };

  beforeAll(async () => {
    author = await federation.add();
    reader = await federation.add();
    third = await federation.add();
    await federation.registerAll();
    const made = await author.json<{ id: string }>('POST', '/conversations', {
      title: 'harvest',
      participants: [`ann@${author.peerId}`, `ben@${reader.peerId}`, `cyd@${third.peerId}`],
    });
    conversation = encodeURIComponent(made.id);
    const sent = (await (await repeatable(`/messages/${conversation}`, said)).json()) as { message: Message };
    message = sent.message.id;
    await author.json('POST', `/messages/${conversation}`, { from: 'ann', content: KEPT });
    listing = ((await (await repeatable('/listings', offered)).json()) as { id: string }).id;
    await author.json('PATCH', `/listings/${listing}`, { description: `${LISTING}, dry` });
    await author.json('POST', '/listings', { type: 'offer', title: KEPT });
  });
  afterAll(() => federation.close());

  it('is of something that all three hold', async () => {
    for (const member of federation.members) {
      await waitFor('the messages', async () => (await messagesAt(member)).length === 2, 20_000);
      await waitFor(
        'the listing',
        async () => (await member.request('GET', `/listings/${listing}`)).ok,
        20_000,
      );
      for (const text of [MESSAGE, LISTING, KEPT]) expect(filesWith(member.dir, text), text).not.toEqual([]);
    }
  });

  it('is for the author’s user and node', async () => {
    const url = `/messages/${conversation}/${message}`;
    const issued = await author.json<{ key: string }>('POST', '/api/keys', {
      userId: 'eve',
      scopes: ['write'],
    });
    const byEve = await fetch(author.url + url, { method: 'DELETE', headers: { 'x-api-key': issued.key } });
    expect(byEve.status).toBe(403);
    expect((await reader.request('DELETE', url)).status).toBe(403);
    expect((await author.request('DELETE', `/messages/${conversation}/none`)).status).toBe(404);
    expect(await messagesAt(author)).toContain(MESSAGE);
  });

  it('leaves nothing on any of the three disks', async () => {
    for (const url of [`/messages/${conversation}/${message}`, `/listings/${listing}?erase=true`]) {
      const answer = await author.json<{ erased: boolean; evidence: string }>('DELETE', url);
      expect(answer).toMatchObject({ erased: true, evidence: expect.stringContaining('stays with them') });
    }
    for (const member of federation.members) {
      await waitFor(
        'the disk to be clear',
        async () => [MESSAGE, LISTING].every((text) => filesWith(member.dir, text).length === 0),
        20_000,
      );
      expect(await messagesAt(member)).toEqual([KEPT]);
      expect((await member.request('GET', `/listings/${listing}`)).status).toBe(404);
    }
    await sameDigest(federation.members, 20_000);
  });

  it('is not undone by a repeated request', async () => {
    for (const [url, body] of [
      [`/messages/${conversation}`, said],
      ['/listings', offered],
    ] as const) {
      const answer = await repeatable(url, body);
      expect([answer.status, await answer.json()]).toEqual([
        410,
        expect.objectContaining({ code: 'erased' }),
      ]);
    }
    expect(await messagesAt(author)).toEqual([KEPT]);
  });

  it('holds for a node that comes later, and for one that lost its disk', async () => {
    const late = await federation.add();
    await join(late, author);
    await third.stop();
    for (const name of ['db', 'initialized', 'head']) rmSync(path(third.dir, name), { recursive: true });
    third = await federation.start(third.dir);
    await join(third, reader);
    await join(third, author);
    await join(late, third);
    await waitFor('the messages', async () => (await messagesAt(third)).length === 1, 20_000);
    const { owners } = await sameDigest([author, reader, third, late], 30_000);
    expect(owners[author.peerId]?.collections['listings']?.count).toBe(2);
    for (const member of federation.members)
      for (const text of [MESSAGE, LISTING]) expect(filesWith(member.dir, text)).toEqual([]);
    expect(await messagesAt(third)).toEqual([KEPT]);
  });

  it('leaves chains that verify, and outlasts a rebuild', async () => {
    for (const member of federation.members) {
      expect(complaints(member).filter((line) => !/own-|recovery fence/.test(line))).toEqual([]);
      await member.stop();
      for (const text of [MESSAGE, LISTING]) expect(filesWith(member.dir, text)).toEqual([]);
      for (const command of ['fsck', 'rebuild', 'fsck']) {
        const { code, stdout, stderr } = await agrinetHere(undefined, [command], {
          DATA_DIR: member.dir,
          MYCELIUM_NETWORK: 'test',
        });
        expect({ code, stdout, stderr }, command).toMatchObject({ code: 0 });
      }
    }
    author = await federation.start(author.dir);
    expect(await messagesAt(author)).toEqual([KEPT]);
  });
});
