import { afterAll, beforeAll, expect, it } from 'vitest';
import { join } from '../support/daemon.ts';
import { Federation, type Member } from '../support/federation.ts';
import { hookServer } from '../support/hook-server.ts';
import { linesOf, type MarketUser, marketUser } from '../support/market-users.ts';
import { waitFor } from '../support/wait.ts';
import { listenTo, type SseClient } from '../unit/events/event-server.ts';

const federation = new Federation();
const SECRET = 'c0de-of-the-hook-9f31b7e2aa';
let hook: Awaited<ReturnType<typeof hookServer>>;
let first: Member;
let second: Member;
let mary: MarketUser;
let amina: MarketUser;
let zawadi: MarketUser;
const streams: SseClient[] = [];
const TERMS = {
  title: 'White maize',
  commodity: 'Maize',
  quantity: 80,
  unit: 'kg',
  price: 55,
  currency: 'KES',
};
const DEAL = '80 kg White maize, 55 KES/kg';
const TYPES = 'contract.update,message,rating,notification';

beforeAll(async () => {
  first = await federation.add();
  hook = await hookServer(SECRET);
  second = await federation.add({ NOTICE_WEBHOOK_URLS: hook.url, FEDERATION_WEBHOOK_SECRET: SECRET });
  await join(first, second);
  mary = await marketUser(first, 'mary');
  amina = await marketUser(second, 'amina');
  zawadi = await marketUser(second, 'zawadi');
});
afterAll(async () => {
  for (const stream of streams) stream.close();
  await federation.close();
  hook.close();
});

async function listen(user: MarketUser | Member): Promise<SseClient> {
  const url = 'daemon' in user ? user.daemon.url : user.url;
  const key = 'daemon' in user ? user.key : user.apiKey;
  const stream = await listenTo(`${url}/events?types=${TYPES}`, { 'x-api-key': key });
  streams.push(stream);
  return stream;
}
const messages = async (user: MarketUser) => (await linesOf(user)).map(({ message }) => message);
/** Waits until the newest line of a user says this. */
const told = (user: MarketUser, message: string) =>
  waitFor(`"${message}"`, async () => (await messages(user))[0] === message);
/** A request that succeeds once what it rests on has come. */
const once = (user: MarketUser, path: string, body: unknown = {}) =>
  waitFor(`POST ${path}`, async () => (await user.request('POST', path, body)).ok);

it('every step that concerns somebody else’s user reaches that user, once, and nobody else', async () => {
  const [maryHears, aminaHears, zawadiHears, operatorHears] = await Promise.all(
    [mary, amina, zawadi, second].map(listen),
  );
  await mary.json('PATCH', '/users/mary', { displayName: 'Mary Wanjiru' });
  const { contractId } = await amina.json<{ contractId: string }>('POST', '/contracts', {
    ...TERMS,
    supplierId: `mary@${first.peerId}`,
  });
  const path = `/contracts/${contractId}`;
  await told(mary, `amina proposes a deal: ${DEAL}.`);
  await once(mary, `${path}/accept`);
  await told(amina, `mary has accepted: ${DEAL}. The deal stands.`);
  await once(mary, `${path}/pings`, { status: 'loaded', percentComplete: 60, notes: 'not for texts' });
  await told(amina, `mary reports on ${DEAL}: loaded, 60 %.`);
  await once(mary, `${path}/settle`);
  await told(amina, `mary says that this is done: ${DEAL}. Settle it too if that is so.`);
  await once(amina, `${path}/settle`);
  await told(mary, `amina has settled too, and the deal is done: ${DEAL}. You can rate it now.`);
  await once(amina, '/submitRating', { contractId, score: 4, comment: 'dry and on time' });
  await told(mary, `amina has rated you 4 (from -1 to 4) for ${DEAL}.`);
  const chat = await mary.json<{ id: string }>('POST', '/conversations', {
    title: 'Next week',
    participants: [`amina@${second.peerId}`],
  });
  await once(mary, `/messages/${chat.id}`, { content: 'At nine' });
  await told(amina, 'mary wrote to you in "Next week".');

  for (const [user, stream, types] of [
    [mary, maryHears, ['contract.update', 'contract.update', 'rating']],
    [amina, aminaHears, ['contract.update', 'contract.update', 'contract.update', 'message']],
  ] as const) {
    const lines = (await linesOf(user)).toReversed();
    const heard = stream?.messages.filter(({ event }) => event !== 'ping') ?? [];
    expect(heard.map(({ event }) => event)).toEqual(types);
    expect(heard.map(({ data }) => data['notificationId'])).toEqual(lines.map((line) => line.notificationId));
    expect(new Set(heard.map(({ id }) => id)).size).toBe(types.length);
    expect(lines[0]?.about).toMatchObject({ contractId });
  }
  expect(await linesOf(zawadi)).toEqual([]);
  for (const stream of [zawadiHears, operatorHears])
    expect(stream?.messages.filter(({ event }) => event !== 'ping')).toEqual([]);
});

it('who is concerned hears that a rating is contested, upheld, taken back, and contested no more', async () => {
  const { contractId } = await amina.json<{ contractId: string }>('POST', '/contracts', {
    ...TERMS,
    title: 'Groundnuts',
    supplierId: `mary@${first.peerId}`,
  });
  const path = `/contracts/${contractId}`;
  const deal = '80 kg Groundnuts, 55 KES/kg';
  for (const step of ['accept', 'settle']) await once(mary, `${path}/${step}`);
  await once(amina, `${path}/settle`);
  await told(mary, `amina has settled too, and the deal is done: ${deal}. You can rate it now.`);
  await once(amina, '/submitRating', { contractId, score: 0, comment: 'late' });
  await told(mary, `amina has rated you 0 (from -1 to 4) for ${deal}.`);
  const ratingId = (await linesOf(mary))[0]?.about?.['ratingId'] ?? '';
  const note = (user: MarketUser, kind: string) =>
    once(user, `/ratings/${ratingId}/${kind}`, { why: 'facts-differ' });
  await note(mary, 'contest');
  await told(amina, `mary contests your rating of 0 for ${deal}. You can take it back or stand by it.`);
  await note(amina, 'uphold');
  await told(mary, `amina stands by the rating of 0 for ${deal}.`);
  await note(mary, 'uphold');
  await told(amina, `mary no longer contests your rating of 0 for ${deal}.`);
  await note(amina, 'dismiss');
  await told(mary, `amina has taken back the rating of 0 for ${deal}.`);
  expect((await linesOf(mary))[0]).toMatchObject({
    kind: 'rating',
    about: { ratingId, contractId, step: 'dismiss', from: `amina@${second.peerId}` },
  });
});

it('an offer that ends is told before and when it does, to who could have accepted it and to both', async () => {
  const { listingId } = await mary.json<{ listingId: string }>('POST', '/listings', {
    ...TERMS,
    type: 'offer',
    title: 'Finger millet',
  });
  const validUntil = new Date(Date.now() + 6000).toISOString();
  const { contractId } = await mary.json<{ contractId: string }>('POST', '/contracts', {
    listingId,
    quantity: 80,
    buyerId: `amina@${second.peerId}`,
    validUntil,
  });
  const deal = '80 kg Finger millet, 55 KES/kg';
  const linesAbout = async (user: MarketUser) =>
    (await linesOf(user)).filter(({ about }) => about?.['contractId'] === contractId).toReversed();
  const texts = async (user: MarketUser) => (await linesAbout(user)).map(({ message }) => message);
  await waitFor('the end of the offer', async () => (await texts(amina)).length === 3, 60_000);
  expect(await texts(amina)).toEqual([
    expect.stringMatching(new RegExp(`^mary offers, and holds until .*: ${deal}\\.$`)),
    expect.stringMatching(new RegExp(`^The offer of mary ends at .*: ${deal}\\.$`)),
    `The offer has ended without being accepted: ${deal}.`,
  ]);
  expect((await linesAbout(amina)).map(({ kind }) => kind)).toEqual(['proposal', 'hold', 'hold']);
  await waitFor('mary to hear of it', async () => (await texts(mary)).length === 1);
  expect(await texts(mary)).toEqual([`The offer has ended without being accepted: ${deal}.`]);
});

it('a refusal, a cancellation by both and a dispute are told as what they are, and in the language of who is told', async () => {
  await amina.json('PATCH', '/users/amina', { language: 'sw-KE' });
  const begin = async () => {
    const { contractId } = await mary.json<{ contractId: string }>('POST', '/contracts', {
      ...TERMS,
      buyerId: `amina@${second.peerId}`,
    });
    await told(amina, `mary anapendekeza makubaliano: ${DEAL}.`);
    return `/contracts/${contractId}`;
  };
  await once(amina, `${await begin()}/cancel`);
  await told(mary, `amina has refused: ${DEAL}.`);
  const withdrawn = await begin();
  await once(mary, `${withdrawn}/cancel`);
  await told(amina, `mary ameondoa pendekezo: ${DEAL}.`);

  const cancelled = await begin();
  await once(amina, `${cancelled}/accept`);
  await told(mary, `amina has accepted: ${DEAL}. The deal stands.`);
  await once(mary, `${cancelled}/cancel`);
  await told(amina, `mary anataka kufuta: ${DEAL}. Makubaliano yataisha ukifuta pia.`);
  await once(amina, `${cancelled}/cancel`);
  await told(mary, `amina has cancelled too, and the deal has ended: ${DEAL}.`);

  const disputed = await begin();
  await once(amina, `${disputed}/accept`);
  await told(mary, `amina has accepted: ${DEAL}. The deal stands.`);
  await once(amina, `${disputed}/settle`);
  await told(mary, `amina says that this is done: ${DEAL}. Settle it too if that is so.`);
  await once(mary, `${disputed}/cancel`);
  await told(amina, `mary anaona tofauti, na kuna mgogoro: ${DEAL}.`);
  for (const user of [mary, amina]) await once(user, `${disputed}/resolve`, { outcome: 'settled' });
  await told(mary, `amina has agreed, and the dispute has ended: ${DEAL}.`);
  const line = await waitFor('her line', async () =>
    (await linesOf(amina)).find(({ kind }) => kind === 'resolution'),
  );
  expect(line).toMatchObject({ language: 'sw', unreviewed: true });
  expect((await linesOf(mary))[0]).not.toHaveProperty('unreviewed');
});

it('between users of one node too; somebody who is no user of this node has no lines', async () => {
  const { contractId } = await amina.json<{ contractId: string }>('POST', '/contracts', {
    ...TERMS,
    supplierId: 'zawadi',
  });
  await told(zawadi, `amina proposes a deal: ${DEAL}.`);
  expect((await linesOf(zawadi))[0]?.about).toMatchObject({ contractId, step: 'propose' });
  await mary.json('POST', '/contracts', { ...TERMS, buyerId: `ghost@${second.peerId}` });
  const chat = await mary.json<{ id: string }>('POST', '/conversations', {
    title: 'Ghosts',
    participants: [`ghost@${second.peerId}`, `amina@${second.peerId}`],
  });
  await once(mary, `/messages/${chat.id}`, { content: 'Hello?' });
  await told(amina, 'mary amekuandikia katika "Ghosts".');
  const ghosts = await second.json<{ notifications: unknown[] }>('GET', '/notifications?userId=ghost');
  expect(ghosts.notifications).toEqual([]);
});

it('notices are posted where that is asked for, signed, again after a refusal, under one id; not of kinds that are muted', async () => {
  const chat = await mary.json<{ id: string }>('POST', '/conversations', {
    title: 'Hooks',
    participants: [`amina@${second.peerId}`, `zawadi@${second.peerId}`],
  });
  await zawadi.json('PATCH', '/users/zawadi', { muted: ['message'] });
  await once(mary, `/messages/${chat.id}`, { content: 'quartz-lagoon-51' });
  await told(zawadi, 'mary wrote to you in "Hooks".');
  const lines = (await linesOf(amina)).map(({ notificationId }) => notificationId);
  await waitFor(
    'all of them to be posted',
    () =>
      lines.every((id) => hook.posted.some(({ body }) => body.id === id)) &&
      hook.posted.some(({ body }) => body.data['userId'] === 'zawadi'),
  );
  const deliveries = new Map(hook.posted.map(({ delivery, body }) => [delivery, body.id]));
  expect(new Set(deliveries.values()).size).toBe(deliveries.size);
  expect(hook.posted.every(({ signed }) => signed)).toBe(true);
  expect(
    hook.posted.filter(({ body }) => body.data['userId'] === 'zawadi').map(({ body }) => body.type),
  ).toEqual(['contract.update']);
  expect(hook.posted.map(({ body: { data } }) => [data['language'], data['unreviewed']])).toEqual(
    expect.arrayContaining([
      ['en', undefined],
      ['sw', true],
    ]),
  );
  expect(
    hook.posted.every(({ body: { data } }) => (data['language'] === 'sw') === (data['unreviewed'] === true)),
  ).toBe(true);
  expect(JSON.stringify(hook.posted)).not.toContain('quartz-lagoon-51');
});
