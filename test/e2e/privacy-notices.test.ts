import { ListTablesCommand, paginateScan } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { join } from '../support/daemon.ts';
import { mirrorEnv, startDynamo, type TestDynamo } from '../support/dynamo.ts';
import { ProcessFederation, type ProcessMember, sameDigest } from '../support/federation.ts';
import { filesWith } from '../support/files-with.ts';
import { linesOf, type MarketUser, marketUser } from '../support/market-users.ts';
import { twilioServer, type TwilioServer } from '../support/twilio-server.ts';
import { waitFor } from '../support/wait.ts';

// Values that are nowhere else, so that a raw search for them means something.
const PHONE = '+254700736451';
const EMAIL = 'osprey-amina@basalt-quay.example';
const MESSAGE = 'heron-lattice-83 at the blue gate';
const REASON = 'tarpan-mildew-29 in every bag';
const PROGRESS = 'gannet-axle-57 broke down';
/** What the two parties' nodes hold, and nobody else. */
const OF_PARTIES = [MESSAGE, REASON, PROGRESS];
/** What amina's node holds, and nobody else. */
const OF_USER = [PHONE, EMAIL];
const PUBLIC_TITLE = 'Sunflower quelea-11';
const TERMS = { commodity: 'Sunflower', quantity: 80, unit: 'kg', price: 55, currency: 'KES' };

/** Tables of the mirror with what only parties may read; whatever else there is counts as public. */
const PRIVATE_TABLES: ReadonlySet<string> = new Set([
  'Contracts',
  'Transactions',
  'TransactionLogs',
  'Notifications',
  'Keys',
  'Conversations',
  'Messages',
]);

const federation = new ProcessFederation();
let dynamo: TestDynamo;
let twilio: TwilioServer;
let first: ProcessMember;
let second: ProcessMember;
let third: ProcessMember;
let mary: MarketUser;
let amina: MarketUser;

beforeAll(async () => {
  twilio = await twilioServer();
  dynamo = await startDynamo('dynalite');
  const traced = (prefix: string) => ({
    LOG_LEVEL: 'trace',
    ...mirrorEnv(dynamo.url),
    MIRROR_PREFIX: `${prefix}-`,
  });
  first = await federation.add(traced('first'));
  second = await federation.add({ ...traced('second'), ...twilio.settings, SMS_ACCEPT_LIMIT: '5000' });
  third = await federation.add(traced('third'));
  for (const member of federation.members) await member.json('POST', '/mirror/init', {});
  await join(first, second);
  await join(first, third);
  await join(second, third);
  mary = await marketUser(first, 'mary');
  amina = await marketUser(second, 'amina');
}, 60_000);
afterAll(async () => {
  await federation.close();
  await twilio.close();
  await dynamo.stop();
});

/** A request that succeeds once what it rests on has come. */
const once = (user: MarketUser, path: string, body: unknown = {}) =>
  waitFor(`POST ${path}`, async () => (await user.request('POST', path, body)).ok, 30_000);

it('a whole trade with messages, a breach with its reason, and SMS leaves none of it with anybody else', async () => {
  await amina.json('PATCH', '/users/amina', { phone: PHONE, email: EMAIL });
  await mary.json('POST', '/listings', { ...TERMS, type: 'offer', title: PUBLIC_TITLE });
  const { id: chat } = await mary.json<{ id: string }>('POST', '/conversations', {
    title: 'Delivery',
    participants: [`amina@${second.peerId}`],
  });
  await once(mary, `/messages/${chat}`, { content: MESSAGE });
  const { contractId } = await mary.json<{ contractId: string }>('POST', '/contracts', {
    ...TERMS,
    title: 'Sunflower',
    buyerId: `amina@${second.peerId}`,
  });
  const path = `/contracts/${contractId}`;
  await once(amina, `${path}/accept`);
  await once(mary, `${path}/pings`, { status: 'late', notes: PROGRESS });
  for (const user of [mary, amina]) await once(user, `${path}/settle`);
  await once(amina, '/submitRating', { contractId, score: -1, comment: REASON });
  const ratingId = await waitFor('the rating', async () =>
    (await linesOf(mary)).find(({ about }) => about?.['ratingId'] !== undefined),
  ).then(({ about }) => about?.['ratingId'] ?? '');
  await once(mary, `/ratings/${ratingId}/contest`, { why: 'facts-differ' });
  await waitFor(
    'all SMS',
    async () =>
      (await linesOf(amina)).every(({ sms }) => sms === 'sent') &&
      (await linesOf(amina)).some(({ message }) => message.includes('contests your rating')),
  );
  await sameDigest([first, second, third], 30_000, ({ owners }) => second.peerId in owners);
  await waitFor('the reason', async () => filesWith(first.dir, REASON).length > 0, 30_000);

  for (const text of [...OF_PARTIES, ...OF_USER]) {
    expect(filesWith(third.dir, text), text).toEqual([]);
    for (const member of federation.members) expect(member.output(), text).not.toContain(text);
  }
  for (const text of OF_USER) expect(filesWith(first.dir, text), text).toEqual([]);
  // What was beside them came through: the search has looked where they would be.
  for (const text of OF_PARTIES) {
    expect(filesWith(first.dir, text), text).not.toEqual([]);
    expect(filesWith(second.dir, text), text).not.toEqual([]);
  }
  for (const text of OF_USER) expect(filesWith(second.dir, text), text).not.toEqual([]);
  expect(filesWith(third.dir, PUBLIC_TITLE)).not.toEqual([]);
  // An SMS goes to the number, and repeats no message, reason or report.
  expect(new Set(twilio.taken.map(({ to }) => to))).toEqual(new Set([PHONE]));
  expect(twilio.taken.length).toBeGreaterThan(4);
  for (const text of [...OF_PARTIES, EMAIL])
    for (const { body } of twilio.taken) expect(body).not.toContain(text);
}, 120_000);

it('none of that, nor a code of its SMS, stands in a public answer, export, metric, audit line, alarm or finding', async () => {
  const codes = twilio.taken.flatMap(({ body }) => /YES (\d{6}) or/.exec(body)?.[1] ?? []);
  expect(codes).toHaveLength(1);
  const everybody = [
    '/',
    '/health',
    '/ready',
    '/openapi.json',
    '/listings',
    '/contracts',
    '/trends',
    '/federation/nodes',
    '/federation/export',
    '/federation/identity',
    '/federation/status',
    '/federation/feeds',
    ...federation.members.map(({ peerId }) => `/federation/feeds/${peerId}`),
    `/ratings/users/amina@${second.peerId}`,
    `/trust?subject=mary@${first.peerId}`,
  ];
  const operators = [
    '/metrics',
    '/logs',
    '/jobs',
    '/alarms',
    '/doctor',
    '/federation/export',
    '/notifications',
  ];
  const answers: string[] = [];
  for (const member of federation.members) {
    for (const url of everybody) answers.push(`${url}\n${await (await fetch(member.url + url)).text()}`);
    for (const url of operators) answers.push(`${url}\n${await (await member.request('GET', url)).text()}`);
  }
  for (const text of [...OF_PARTIES, ...OF_USER, `YES ${codes[0]}`])
    for (const answer of answers) expect(answer, answer.slice(0, 80)).not.toContain(text);
  expect(answers.some((answer) => answer.includes(PUBLIC_TITLE))).toBe(true);
  for (const member of [first, third]) expect(filesWith(member.dir, `YES ${codes[0]}`)).toEqual([]);
}, 120_000);

/** What is in each table that a member mirrors to, by its name without the prefix. */
async function tablesOf(prefix: string): Promise<Map<string, string>> {
  const { client } = dynamo;
  const { TableNames = [] } = await client.send(new ListTablesCommand({ Limit: 100 }));
  const texts = new Map<string, string>();
  for (const name of TableNames.filter((each) => each.startsWith(`${prefix}-`))) {
    const items: unknown[] = [];
    for await (const page of paginateScan({ client }, { TableName: name, ConsistentRead: true }))
      items.push(...(page.Items ?? []));
    texts.set(name.slice(prefix.length + 1), JSON.stringify(items));
  }
  return texts;
}

it('none of that stands in a public table of a DynamoDB that is mirrored to, nor in any table of the third node', async () => {
  const codes = twilio.taken.flatMap(({ body }) => /YES (\d{6}) or/.exec(body)?.[1] ?? []);
  for (const member of federation.members)
    await waitFor(
      'the mirror to catch up',
      async () => {
        const shown = await member.json<{ state: string; lag: { entries: number } }>('GET', '/mirror');
        return shown.state === 'running' && shown.lag.entries === 0;
      },
      60_000,
    );
  const [ofFirst, ofSecond, ofThird] = [
    await tablesOf('first'),
    await tablesOf('second'),
    await tablesOf('third'),
  ];
  const tablesWith = (tables: ReadonlyMap<string, string>, text: string): string[] =>
    [...tables].flatMap(([name, items]) => (items.includes(text) ? [name] : []));
  for (const text of [...OF_PARTIES, ...OF_USER, `YES ${codes[0]}`]) {
    expect(tablesWith(ofThird, text), text).toEqual([]);
    for (const tables of [ofFirst, ofSecond])
      expect(
        tablesWith(tables, text).filter((name) => !PRIVATE_TABLES.has(name)),
        text,
      ).toEqual([]);
  }
  // Phones, addresses, reasons and codes are not for the private ones either.
  for (const text of [...OF_USER, REASON, `YES ${codes[0]}`])
    for (const tables of [ofFirst, ofSecond]) expect(tablesWith(tables, text), text).toEqual([]);
  // The search has looked where they would be: public tables are filled, and private ones have what parties read.
  for (const tables of [ofFirst, ofSecond, ofThird]) {
    expect(tables.size).toBeGreaterThan(PRIVATE_TABLES.size);
    expect(tablesWith(tables, PUBLIC_TITLE)).toContain('Listings');
  }
  for (const tables of [ofFirst, ofSecond]) {
    expect(tablesWith(tables, MESSAGE)).toEqual(['Messages']);
    expect(tablesWith(tables, PROGRESS)).toEqual(['Contracts']);
  }
}, 120_000);
