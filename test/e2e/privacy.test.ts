import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Federation, type Member, sameDigest } from '../support/federation.ts';
import { join } from '../support/daemon.ts';
import { filesWith } from '../support/files-with.ts';
import { waitFor } from '../support/wait.ts';

// Values that are nowhere else, so that a raw search for them means something.
const EMAIL = 'zebra-owner@quartz-mill.example';
const PHONE = '+254700918273';
const PASSWORD = 'Pa55-ochre-lagoon-77';
const CONTACT = 'zebra-operator@quartz-mill.example';
const PLANTED = [EMAIL, PHONE, PASSWORD, CONTACT];
const MARKER = 'plain-willow-12';

/** Every spelling of a field that must not leave the node, at the top and inside. */
const personal = {
  email: EMAIL,
  'E-Mail': EMAIL,
  contact_email: EMAIL,
  phone: PHONE,
  telephoneNumber: PHONE,
  Password: PASSWORD,
};
const nested = { farm: 'A', people: [{ name: 'Ann', ...personal }], text: JSON.stringify([personal]) };

/** A server that keeps what is posted to it, and answers GET with an old node's export. */
async function outsider(): Promise<{ server: Server; origin: string; posted: string[] }> {
  const posted: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      posted.push(body);
      response.end('{}');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { server, origin: `http://127.0.0.1:${port}`, posted };
}

describe('e-mail addresses, telephone numbers and passwords', () => {
  const federation = new Federation();
  let node: Member;
  let peer: Member;
  let hook: Awaited<ReturnType<typeof outsider>>;
  /** Everything the node has answered to what was planted. */
  const answers: string[] = [];
  let listing = '';

  async function plant(method: string, url: string, body: unknown, ...statuses: number[]): Promise<string> {
    const response = await node.request(method, url, body);
    const text = await response.text();
    expect(statuses, `${method} ${url}: ${text}`).toContain(response.status);
    answers.push(text);
    return text;
  }

  beforeAll(async () => {
    hook = await outsider();
    node = await federation.add({
      CONTACT_EMAIL: CONTACT,
      FEDERATION_WEBHOOK_URLS: `${hook.origin}/hook`,
      FEDERATION_WEBHOOK_SECRET: 'c0de-of-the-hook-9f31b7e2aa',
      ALLOW_PRIVATE_PEERS: 'on',
      LOG_LEVEL: 'trace',
    });
    peer = await federation.add();
    await join(node, peer);
  });
  afterAll(async () => {
    await federation.close();
    hook.server.close();
  });

  it('are refused or dropped in every input', async () => {
    const offer = { type: 'offer', title: `Maize ${MARKER}` };
    await plant('POST', '/listings', { ...offer, ...personal }, 400);
    await plant('POST', '/prices', { ...personal }, 400, 404);
    await plant('PATCH', '/federation/profile', personal, 400, 404);
    const made = await plant(
      'POST',
      '/listings',
      {
        ...offer,
        notes: nested,
        tags: [personal],
        images: JSON.stringify([nested]),
        description: JSON.stringify(nested),
      },
      201,
    );
    listing = (JSON.parse(made) as { id: string }).id;
    await plant('PATCH', `/listings/${listing}`, { notes: nested, location: JSON.stringify(personal) }, 200);
    await plant('PUT', '/listings/put-one', { ...offer, notes: nested }, 200, 201);
    const rows = [
      { kind: 'listing', id: 'imported', ...offer, notes: nested },
      { kind: 'listing', ...offer, ...personal },
    ];
    const imported = await fetch(`${node.url}/import`, {
      method: 'POST',
      headers: { 'x-api-key': node.apiKey, 'content-type': 'application/x-ndjson' },
      body: `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`,
    });
    answers.push(await imported.text());
    expect(answers.at(-1)).toContain('"created":1');

    const participants = [`ann@${node.peerId}`, `ben@${peer.peerId}`];
    const talk = await plant(
      'POST',
      '/conversations',
      { title: MARKER, participants, metadata: nested, ...personal },
      201,
    );
    const id = encodeURIComponent((JSON.parse(talk) as { id: string }).id);
    await plant(
      'POST',
      `/messages/${id}`,
      { from: 'ann', content: MARKER, attachments: [nested], ...personal },
      201,
    );
    await plant('POST', `/messages/${id}`, { from: 'ann', content: JSON.stringify(personal) }, 201);
    await plant(
      'POST',
      '/contracts',
      { commodity: MARKER, supplierId: `ben@${peer.peerId}`, notes: nested },
      201,
      400,
    );
    await plant(
      'POST',
      '/contracts',
      { commodity: MARKER, supplierId: `ben@${peer.peerId}`, ...personal },
      201,
      400,
    );
    await plant('POST', '/submitRating', { ...personal, comment: JSON.stringify(personal) }, 400, 404, 409);
    await plant('POST', '/api/keys', { userId: 'ann', scopes: ['read'], ...personal }, 200, 201, 400);
    await plant('POST', '/listings', 'not an object', 400);
  });

  it('of those who register stay in this node’s registry', async () => {
    const { key } = await node.json<{ key: string }>('POST', '/api/keys', {
      userId: 'old',
      scopes: ['register'],
    });
    const asked = await fetch(`${node.url}/federation/node/register`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      body: JSON.stringify({ nodeUrl: hook.origin, region: 'Nakuru', contactEmail: EMAIL }),
    });
    answers.push(await asked.text());
    expect([asked.status, ...answers.slice(-1)]).toEqual([202, expect.any(String)]);
  });

  it('of an old node’s users are not even kept', async () => {
    const time = '2026-01-01T00:00:00.000Z';
    const old = {
      listings: [{ id: 'l1', title: `Old maize ${MARKER}`, updatedAt: time, contact: nested, ...personal }],
      transactions: [],
      users: [{ id: 'u1', role: 'farmer', updatedAt: time, ...personal }],
    };
    const url = '/federation/import?source=https://old.example';
    expect(JSON.parse(await plant('POST', url, old, 200))).toMatchObject({ imported: 2 });
    answers.push(await (await node.request('GET', '/federation/legacy/listings')).text());
    expect(answers.at(-1)).toContain(`Old maize ${MARKER}`);
    expect(filesWith(node.dir, PASSWORD)).toEqual([]);
    expect(filesWith(node.dir, PHONE)).toEqual([]);
  });

  it('stand in nothing that the node answers, says, posts or passes on', async () => {
    await sameDigest([node, peer], 20_000, (state) => node.peerId in state.owners);
    await waitFor(
      'the message to reach the peer',
      async () => filesWith(peer.dir, 'messages/').length > 0,
      20_000,
    );
    const urls = [
      '/',
      '/health',
      '/ready',
      '/metrics',
      '/openapi.json',
      '/listings',
      `/listings/${listing}`,
      '/prices',
      '/contracts',
      '/conversations',
      '/conflicts',
      '/trends',
      '/federation/nodes',
      '/federation/identity',
      '/federation/status',
      '/federation/digest',
      '/federation/export',
      '/federation/feeds',
      `/federation/feeds/${node.peerId}`,
      '/notifications',
      '/logs',
    ];
    for (const url of urls)
      for (const headers of [{ 'x-api-key': node.apiKey }, undefined])
        answers.push(
          `${url}\n${await (await fetch(node.url + url, headers === undefined ? {} : { headers })).text()}`,
        );
    for (const url of ['/federation/nodes', '/federation/export', '/federation/status', '/logs'])
      answers.push(`${url}\n${await (await peer.request('GET', url)).text()}`);
    const lines = await fetch(`${node.url}/federation/export`, {
      headers: { accept: 'application/x-ndjson' },
    });
    answers.push(await lines.text());
    for (const text of PLANTED) {
      for (const answer of answers) expect(answer, answer.slice(0, 60)).not.toContain(text);
      for (const body of hook.posted) expect(body).not.toContain(text);
      // An operator's own address goes to the operators of the nodes it registers with, for their registry, and no further.
      if (text !== CONTACT) expect(filesWith(peer.dir, text), text).toEqual([]);
      for (const member of federation.members) expect(member.output()).not.toContain(text);
    }
    // What was beside them came through: the search has looked where they would be.
    expect(answers.some((answer) => answer.includes(`Maize ${MARKER}`))).toBe(true);
    expect(filesWith(peer.dir, MARKER)).not.toEqual([]);
    expect(filesWith(peer.dir, 'Ann')).not.toEqual([]);
    // Only the registry of the node that was asked knows whom to write to.
    expect(filesWith(node.dir, EMAIL)).not.toEqual([]);
    for (const text of [PHONE, PASSWORD]) expect(filesWith(node.dir, text)).toEqual([]);
  });
});
