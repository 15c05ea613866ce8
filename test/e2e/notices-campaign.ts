/**
 * Two users on two daemons write to one another, or list what the other one wants, and after each tenth message or listing one of the
 * daemons is killed with SIGKILL, in turn. In the end each is one line and one numbered event of whom it is for, on disk and as a client
 * heard them that goes on after the last one it had, was posted under one id, and went out as one SMS, or as none above the daily limit,
 * although the provider times out, answers late, hangs up and fails. By itself: `COUNT=1000 npm run campaign:notices`, with `KIND=wants` for listings; the tests run the same
 * with less.
 */
import { join as joinPath } from 'node:path';
import { smsToken } from '../../daemon/sms/sms-text.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { Database } from '../../storage/database.ts';
import { openEventTable } from '../../storage/event-table.ts';
import { runCampaign } from '../support/campaign.ts';
import { join } from '../support/daemon.ts';
import { ProcessFederation, type ProcessMember } from '../support/federation.ts';
import { hookServer, type Posted } from '../support/hook-server.ts';
import { linesOf, type MarketUser, marketUser } from '../support/market-users.ts';
import { seededRandom } from '../support/random.ts';
import { ResumingListener } from '../support/resuming-listener.ts';
import { type Behaviour, type TakenSms, twilioServer } from '../support/twilio-server.ts';
import { waitFor } from '../support/wait.ts';

const EACH = 10;
const SMS_A_DAY = 1000;
/** Those of all other nodes together. */
const SMS_OF_STRANGERS = SMS_A_DAY / 2;
const SECRET = 'c0de-of-the-hook-9f31b7e2aa';

interface Side {
  member: ProcessMember;
  user: MarketUser;
  readonly listener: ResumingListener;
  /** Messages to this user, or listings that it wants, by id. */
  readonly sent: Set<string>;
}

/** What the two are told of. */
interface Told {
  readonly event: string;
  /** Names it in `about`. */
  readonly field: 'messageId' | 'listingId';
  /** Makes ready what the two need; how each of the things is then sent. */
  readonly begin: (one: Side, other: Side) => Promise<Request>;
}
/** A POST that brings one about. */
interface Request {
  readonly path: string;
  readonly body: (n: string) => Record<string, string>;
  readonly idOf: (answer: Record<string, unknown>) => string;
}

const MESSAGES: Told = {
  event: 'message',
  field: 'messageId',
  async begin(one, other) {
    const chat = await one.user.json<{ id: string }>('POST', '/conversations', {
      title: 'Maize',
      participants: [`amina@${other.member.peerId}`],
    });
    await waitFor(
      'the conversation',
      async () => (await other.user.request('GET', `/conversations/${chat.id}`)).ok,
    );
    return {
      path: `/messages/${chat.id}`,
      body: (content) => ({ content }),
      idOf: ({ message }) => (message as { id: string }).id,
    };
  },
};

const WANTS: Told = {
  event: 'notification',
  field: 'listingId',
  async begin(one, other) {
    for (const { user } of [one, other]) await user.json('POST', '/wants', { q: 'mahindi', type: 'offer' });
    return {
      path: '/listings',
      body: (n) => ({ type: 'offer', title: `Maize ${n}` }),
      idOf: ({ listingId }) => String(listingId),
    };
  },
};
const CAMPAIGNS = { messages: MESSAGES, wants: WANTS };

export interface NoticeFigures {
  readonly events: number;
  readonly kills: number;
  /** Milliseconds from the request to the event at the other node, of messages that no kill came near. */
  readonly p50: number;
  readonly p99: number;
  /** SMS that the provider took, and requests that did not simply end well. */
  readonly sms: number;
  readonly troubled: number;
}

/** What the provider does with a request: one in eight does not simply end well. */
function behaviour(chance: number): Behaviour {
  if (chance < 0.02) return { answer: 'never, kept' };
  if (chance < 0.03) return { answer: 'late', ms: 20_000 };
  if (chance < 0.05) return { answer: 'hangs up' };
  if (chance < 0.09) return { answer: 'refuses', status: 503, kept: true };
  if (chance < 0.11) return { answer: 'refuses', status: 502 };
  if (chance < 0.125) return { answer: 'refuses', status: 429 };
  return { answer: 'well' };
}

/** Trouble costs a campaign a minute at its end. */
async function troubledTwilio(seed: number, isTroubled: boolean) {
  const random = seededRandom(seed + 1);
  const troubled: Behaviour[] = [];
  const server = await twilioServer({
    behave: () => {
      const chosen: Behaviour = isTroubled ? behaviour(random()) : { answer: 'well' };
      if (chosen.answer !== 'well') troubled.push(chosen);
      return chosen;
    },
  });
  return { ...server, troubled };
}

type Data = Record<string, unknown>;
/** What data of a line are about. */
const aboutOf = (data: Data, { field }: Told): string[] => {
  const id = (data as { about?: Record<string, string> }).about?.[field];
  return id === undefined ? [] : [id];
};

const heardOf = ({ listener }: Side, told: Told): string[] =>
  listener.heard.flatMap(({ event, data }) => (event === told.event ? aboutOf(data, told) : []));

/** Throws when something was told to somebody more than once, or not at all. */
export async function noticesCampaign({
  count,
  seed,
  of = 'messages',
  smsPerNode = 1000,
  onDone = () => undefined,
}: {
  readonly count: number;
  readonly seed: number;
  readonly of?: keyof typeof CAMPAIGNS;
  /** How many SMS each of the two may cause at the other one. */
  readonly smsPerNode?: number;
  readonly onDone?: () => void;
}): Promise<NoticeFigures> {
  const random = seededRandom(seed);
  const told = CAMPAIGNS[of];
  const federation = new ProcessFederation();
  const hook = await hookServer(SECRET);
  const twilio = await troubledTwilio(seed, of === 'messages');
  const hooks = {
    NOTICE_WEBHOOK_URLS: hook.url,
    FEDERATION_WEBHOOK_SECRET: SECRET,
    ...twilio.settings,
    SMS_DAILY_LIMIT: String(SMS_A_DAY),
    SMS_DAILY_LIMIT_PER_NODE: String(smsPerNode),
  };
  const sides: Side[] = [];
  try {
    const ports = ['mary', 'amina'];
    for (const name of ports) {
      const member = await federation.add(hooks);
      const user = await marketUser(member, name);
      await user.json('PATCH', `/users/${name}`, { phone: `+25470000000${sides.length + 1}` });
      const url = `${member.url}/events?types=message,contract.update,rating,notification`;
      sides.push({ member, user, listener: new ResumingListener(url, user.key), sent: new Set() });
    }
    const [one, other] = sides;
    if (one === undefined || other === undefined) throw new Error('two sides are needed');
    await join(one.member, other.member);
    const request = await told.begin(one, other);
    const delays: number[] = [];
    let kills = 0;
    for (let n = 1; n <= count; n++) {
      const [from, to] = n % 2 === 0 ? [other, one] : [one, other];
      await waitFor('the listener', () => to.listener.connected, 20_000);
      const began = performance.now();
      const id = await sendTo(from, to, request, `${n}`);
      if (n % EACH === 0) {
        await new Promise((next) => setTimeout(next, random() * 40));
        await killed(federation, (n / EACH) % 2 === 0 ? one : other, hooks);
        kills++;
      } else {
        // A pair that one of them has come back to may need a round of anti-entropy first.
        const heard = await waitFor(
          `${told.field} ${n}`,
          () => to.listener.heard.find(({ data }) => aboutOf(data, told).includes(id)),
          120_000,
        );
        if (n % EACH > 2) delays.push(heard.at - began);
      }
      onDone();
    }
    for (const side of sides)
      await waitFor('all to be told', () => heardOf(side, told).length >= side.sent.size, 60_000);
    const all = sides.flatMap(({ sent }) => [...sent]);
    await waitFor(
      'all to be posted',
      () => all.every((id) => deliveriesOf(hook.posted, id, told).size > 0),
      120_000,
    );
    if (all.some((id) => deliveriesOf(hook.posted, id, told).size !== 1))
      throw new Error('a webhook came under two ids');
    for (const side of sides) await expectOneSmsEach(side, twilio.taken, smsPerNode);
    for (const side of sides) await expectOnce(side, told);
    const sorted = delays.toSorted((a, b) => a - b);
    const at = (share: number): number => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
    const sms = { sms: twilio.taken.length, troubled: twilio.troubled.length };
    return { events: count, kills, p50: at(0.5), p99: at(0.99), ...sms };
  } finally {
    await Promise.all(sides.map(({ listener }) => listener.close()));
    await federation.close();
    hook.close();
    await twilio.close();
  }
}

/** Each line says that its SMS was sent, and the provider has it once; those above the limit say that none was, and none was. */
async function expectOneSmsEach(side: Side, taken: readonly TakenSms[], most: number): Promise<void> {
  const user = { ...side.user, daemon: side.member };
  const over = new Set(['node-limit', 'stranger-limit']);
  const ended = new Set(['sent', 'failed', 'unknown', ...over]);
  const lines = await waitFor(
    'all SMS to be sent',
    async () => {
      const all = await linesOf(user);
      return all.every(({ sms = '' }) => ended.has(sms)) ? all : undefined;
    },
    300_000,
  );
  for (const { notificationId, sms } of lines) {
    const sent = taken.filter(({ body }) => body.endsWith(smsToken(notificationId))).length;
    const isOver = over.has(sms ?? '');
    if ((!isOver && sms !== 'sent') || sent !== (isOver ? 0 : 1))
      throw new Error(`an SMS was sent ${sent} times, and is ${sms}`);
  }
  const allowed = lines.filter(({ sms }) => sms === 'sent').length;
  if (allowed !== Math.min(most, SMS_OF_STRANGERS, lines.length))
    throw new Error(`${allowed} SMS were sent of ${lines.length} notices, where ${most} are allowed`);
}

/** Ids under which it was posted that something came. */
function deliveriesOf(posted: readonly Posted[], id: string, told: Told): Set<string> {
  const about = posted.filter(({ body }) => aboutOf(body.data, told).includes(id));
  return new Set(about.map(({ delivery }) => delivery));
}

/** Sends one, again with the same key while the node cannot be reached; its id. */
async function sendTo(from: Side, to: Side, { path, body, idOf }: Request, n: string): Promise<string> {
  const id = await waitFor(
    `POST ${path}`,
    async () => {
      const answer = await fetch(`${from.member.url}${path}`, {
        method: 'POST',
        headers: {
          'x-api-key': from.user.key,
          'content-type': 'application/json',
          'idempotency-key': `sent-${n}`,
        },
        body: JSON.stringify(body(n)),
      }).catch(() => undefined);
      return answer?.ok === true ? idOf((await answer.json()) as Record<string, unknown>) : undefined;
    },
    30_000,
  );
  to.sent.add(id);
  return id;
}

/** It comes back where it was: the other one has no other address of it. */
async function killed(
  federation: ProcessFederation,
  side: Side,
  hooks: Record<string, string>,
): Promise<void> {
  const { port } = new URL(side.member.url);
  const [, mycelium = '0'] = /\/tcp\/(\d+)/.exec(side.member.multiaddr) ?? [];
  await side.member.stop('SIGKILL');
  const env = { ...hooks, PORT: port, MYCELIUM_PORT: mycelium, API_KEY: side.member.apiKey };
  side.member = await federation.start(side.member.dir, env);
}

/** As the list has it, as a client heard it, and as the numbered events are on disk. */
async function expectOnce(side: Side, told: Told): Promise<void> {
  const want = [...side.sent].toSorted().join('\n');
  const lines = (await linesOf({ ...side.user, daemon: side.member })).flatMap(
    ({ about }) => about?.[told.field] ?? [],
  );
  if (lines.toSorted().join('\n') !== want)
    throw new Error(`${lines.length} lines of ${side.sent.size} that came`);
  const heard = heardOf(side, told);
  if (heard.toSorted().join('\n') !== want)
    throw new Error(`${heard.length} events heard of ${side.sent.size} that came`);
  await side.member.stop();
  const db = await Database.open(joinPath(side.member.dir), systemEnv);
  try {
    const { events } = await (await openEventTable(db, 'privateEvents')).read(0, 100_000);
    const kept = events.flatMap(({ data, audience }) =>
      audience?.userId === undefined ? [] : aboutOf(data, told),
    );
    if (kept.toSorted().join('\n') !== want)
      throw new Error(`${kept.length} numbered events of ${side.sent.size} that came`);
  } finally {
    await db.close();
  }
}

if (import.meta.main) {
  const of = process.env['KIND'] === 'wants' ? 'wants' : 'messages';
  await runCampaign('notices', 1000, (options) => noticesCampaign({ ...options, of }));
}
