/**
 * A market's story on three nodes, over HTTP and the command line, as its people would take its steps: a co-op in Kisumu lists maize, a
 * buyer in Mombasa finds it, talks and contracts, while Kisumu's node is away for a part; pings, settlement, the deal note, a rating;
 * Nairobi looks on. `node test/e2e/story.ts` prints what was asked and answered; with `--save` it goes into api/README.md, where
 * `story.test.ts` holds it.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { agrinet } from '../support/cli.ts';
import { fakeClock } from '../support/faketime.ts';
import { ProcessFederation, type ProcessMember } from '../support/federation.ts';
import { saveSection } from '../support/tables.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

type Fields = Readonly<Record<string, unknown>>;
/** What the transcript shows of an answer. */
type Show<T> = (answer: T) => unknown;

interface Person {
  readonly name: string;
  readonly town: string;
  readonly key: string;
}
interface Line {
  readonly message: string;
}
interface Contract {
  readonly contractId: string;
  readonly state: string;
}

const SOON_MS = 60_000;

class Story {
  readonly #federation = new ProcessFederation();
  readonly #files = tempDir('story');
  readonly #clock = fakeClock({ withTimers: true });
  readonly #nodes = new Map<string, ProcessMember>();
  readonly #lines: string[] = [];
  /** What differs from run to run, and what stands for it. */
  readonly #names: (readonly [string, string])[] = [];

  async open(...towns: readonly string[]): Promise<void> {
    this.#clock.set(offset(0, 0));
    for (const town of towns)
      this.#nodes.set(town, await this.#federation.add({ REGION: town, ...this.#clock.env }));
    for (const [town, { peerId }] of this.#nodes) this.called(peerId, `<${town.toLowerCase()}>`);
    await this.#federation.registerAll();
  }

  async close(): Promise<void> {
    await this.#federation.close();
    this.#clock.remove();
    this.#files.remove();
  }

  node(town: string): ProcessMember {
    const node = this.#nodes.get(town);
    if (node === undefined) throw new Error(`no node in ${town}`);
    return node;
  }

  called(value: string, name: string): void {
    this.#names.push([value, name]);
  }

  chapter(text: string): void {
    this.#lines.push('', `# ${text}`);
  }

  /** A command of an operator, as typed in the town of its node. */
  async command(town: string, args: readonly string[], show: Show<string> = (said) => said): Promise<string> {
    const { code, stdout, stderr } = await agrinet(this.node(town), args);
    if (code !== 0) throw new Error(`${town}$ agrinet ${args.join(' ')} ended with ${code}: ${stderr}`);
    const typed = args.map((arg) => (/^[\w@./:,-]+$/.test(arg) ? arg : JSON.stringify(arg))).join(' ');
    this.#lines.push(`${town.toLowerCase()}$ agrinet ${typed}`, ...indented(show(stdout.trim())));
    return stdout;
  }

  /** A user of the node, with a key that its operator issued. */
  async person(town: string, name: string, displayName: string, language: string): Promise<Person> {
    const shown = ['users', 'set', name, '--name', displayName, '--language', language];
    await this.command(town, shown, () => undefined);
    const issued = await this.command(
      town,
      ['keys', 'issue', '--user', name, '--scopes', 'read,write', '--json'],
      () => undefined,
    );
    return { name, town, key: (JSON.parse(issued) as { key: string }).key };
  }

  /** A request of somebody's; one that rests on what is still on its way is repeated, as a client would. */
  async asks<T>(who: Person, method: string, path: string, body: unknown, show: Show<T>): Promise<T> {
    const answer = await this.#answer<T>(who, method, path, body);
    this.#lines.push(
      `${who.name}@${who.town.toLowerCase()} ${method} ${path}${body === undefined ? '' : ` ${JSON.stringify(body)}`}`,
    );
    this.#lines.push(...indented(show(answer)));
    return answer;
  }

  gets<T>(who: Person, path: string, show: Show<T>): Promise<T> {
    return this.asks(who, 'GET', path, undefined, show);
  }

  /** Asks until the answer is what is waited for, and shows that one. */
  async sees<T>(who: Person, path: string, isThere: (answer: T) => boolean, show: Show<T>): Promise<void> {
    const seen = async (): Promise<boolean> => isThere(await this.#answer<T>(who, 'GET', path, undefined));
    await waitFor(`${who.name} sees GET ${path}`, seen, SOON_MS);
    await this.gets<T>(who, path, show);
  }

  /** Waits until the newest of somebody's notices begins so, and shows it. */
  hears(who: Person, beginning: string): Promise<void> {
    const newest = ({ notifications }: { notifications: Line[] }): string => notifications[0]?.message ?? '';
    return this.sees(who, '/notifications?limit=1', (answer) => newest(answer).startsWith(beginning), newest);
  }

  async goesAway(town: string): Promise<void> {
    await this.node(town).stop();
  }

  async comesBack(town: string): Promise<void> {
    const { dir, apiKey } = this.node(town);
    const env = { REGION: town, API_KEY: apiKey, ...this.#clock.env };
    this.#nodes.set(town, await this.#federation.start(dir, env));
  }

  /** At noon of the Thursday so many weeks after the next one; the machines are restarted on the way, and run for a quarter of an hour. */
  async weeksLater(weeks: number): Promise<void> {
    for (const town of this.#nodes.keys()) await this.goesAway(town);
    this.#clock.set(offset(weeks, 0));
    for (const town of this.#nodes.keys()) await this.comesBack(town);
    this.#clock.set(offset(weeks, 15));
    // What they were about when it was set is given up, also a connection that comes in the same moment.
    const answers = (url: string): Promise<boolean> =>
      fetch(`${url}/health`, { headers: { connection: 'close' } }).then(
        ({ ok }) => ok,
        () => false,
      );
    for (const [town, { url }] of this.#nodes)
      await waitFor(`${town} to answer at its new time`, () => answers(url), SOON_MS);
  }

  /** Something that takes many steps which others of the story show; `said` stands for it. */
  async quietly(said: string, steps: () => Promise<void>): Promise<void> {
    const before = this.#lines.length;
    await steps();
    this.#lines.splice(before, Infinity, said);
  }

  /** What is answered goes into a file as it comes; its path. */
  async saves(who: Person, path: string, name: string): Promise<string> {
    const file = join(this.#files.path, name);
    writeFileSync(file, await this.#text(who, 'GET', path, undefined));
    this.called(file, name);
    this.#lines.push(`${who.name}@${who.town.toLowerCase()} GET ${path} > ${name}`);
    return file;
  }

  transcript(): string {
    let text = this.#lines.join('\n').trim();
    // The longest first: the id of a contract begins with that of its node.
    for (const [value, name] of this.#names.toSorted(([a], [b]) => b.length - a.length))
      text = text.replaceAll(value, name);
    return `\`\`\`text\n${text}\n\`\`\``;
  }

  async #answer<T>(who: Person, method: string, path: string, body: unknown): Promise<T> {
    const text = await this.#text(who, method, path, body);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  async #text(who: Person, method: string, path: string, body: unknown): Promise<string> {
    const headers = {
      'x-api-key': who.key,
      'content-type': 'application/json',
      accept: 'application/json',
      connection: 'close', // a clock that is set ends what is kept open
    };
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    let said = '';
    const arrived = async (): Promise<boolean> => {
      const answer = await fetch(this.node(who.town).url + path, { method, headers, ...sent });
      said = await answer.text();
      if (!answer.ok && answer.status !== 404 && answer.status !== 409)
        throw new Error(`${method} ${path}: ${answer.status} ${said}`);
      return answer.ok;
    };
    try {
      await waitFor(`${method} ${path}`, arrived, SOON_MS);
    } catch (error) {
      throw new Error(`${method} ${path}: the last answer was ${said}`, { cause: error });
    }
    return said;
  }
}

/** From now to so many minutes after noon (UTC) of a Thursday: that of this week, or of the next ones. */
function offset(weeks: number, minutes: number): string {
  const now = new Date();
  const monday = now.getUTCDate() - ((now.getUTCDay() + 6) % 7);
  const to = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), monday + 7 * (weeks + 1) + 3, 12, minutes);
  return `+${Math.round((to - now.getTime()) / 1000)}`;
}

function indented(shown: unknown): string[] {
  if (shown === undefined) return [];
  const text = typeof shown === 'string' ? shown : JSON.stringify(shown);
  return text.split('\n').map((line) => `    ${line}`);
}

const only =
  (...names: readonly string[]) =>
  (answer: Fields): Fields =>
    Object.fromEntries(names.map((name) => [name, answer[name]]));

/** Plays the whole story; what was asked and answered, as a block of Markdown. */
export async function playStory(): Promise<string> {
  const story = new Story();
  try {
    await story.open('Kisumu', 'Mombasa', 'Nairobi');
    await tell(story);
    return story.transcript();
  } finally {
    await story.close();
  }
}

async function tell(story: Story): Promise<void> {
  story.chapter('The people: a co-op that sells in Kisumu, a buyer in Mombasa, a third market in Nairobi');
  const mary = await story.person('Kisumu', 'mary', 'Mary Wanjiru', 'en');
  const amina = await story.person('Mombasa', 'amina', 'Amina Otieno', 'sw');
  const njeri = await story.person('Nairobi', 'njeri', 'Njeri Kamau', 'en');
  const listingId = await listAndFind(story, mary, amina);
  const contractId = await talkAndPropose(story, mary, amina, listingId);
  await deliver(story, mary, amina, contractId);
  await keepTheNote(story, amina, contractId);
  await rate(story, { mary, amina, njeri }, contractId);
  await seeTheTrend(story, { mary, amina, njeri });
}

async function listAndFind(story: Story, mary: Person, amina: Person): Promise<string> {
  story.chapter('Amina says what she wants, in her own word for it');
  type Found = { listings: Fields[] };
  const query = 'q=mahindi&currency=KES&unit=kg&priceMax=60&sort=price';
  await story.gets<Found>(amina, `/listings?${query}`, ({ listings }) => listings);
  const want = { label: 'Mahindi', q: 'mahindi', currency: 'KES', unit: 'kg', priceMax: 60 };
  await story.asks<Fields>(amina, 'POST', '/wants', want, only('label'));
  story.chapter('Maize is listed in Kisumu, and Mombasa tells her');
  const kisumu = story.node('Kisumu').peerId;
  const listing = {
    type: 'offer',
    status: 'active',
    title: 'White maize, dry',
    commodity: 'Maize',
    quantity: 100,
    unit: 'kg',
    price: 55,
    currency: 'KES',
    region: 'Nyanza',
    coordinates: 'geoLat_-0.10230,geoLong_34.76170',
  };
  await story.asks<Fields>(mary, 'PUT', '/listings/maize', listing, only('listingId', 'status'));
  await story.hears(amina, 'Mpya kwa utafutaji wako');
  await story.sees<Found>(
    amina,
    `/listings?${query}`,
    ({ listings }) => listings.length > 0,
    ({ listings }) => listings.map(only('title', 'price', 'unit', 'userId')),
  );
  return `${kisumu}.maize`;
}

async function talkAndPropose(story: Story, mary: Person, amina: Person, listingId: string): Promise<string> {
  story.chapter('They talk, and Amina proposes; then the power fails in Kisumu');
  const chat = await story.asks<{ id: string }>(
    amina,
    'POST',
    '/conversations',
    { title: 'Maize', participants: [`mary@${story.node('Kisumu').peerId}`] },
    only('title'),
  );
  story.called(chat.id, '<chat>');
  await story.asks<unknown>(
    amina,
    'POST',
    `/messages/${chat.id}`,
    { content: 'Is it this season’s?' },
    () => undefined,
  );
  await story.hears(mary, 'amina');
  await story.asks<unknown>(
    mary,
    'POST',
    `/messages/${chat.id}`,
    { content: 'Yes, dried last week' },
    () => undefined,
  );
  await story.hears(amina, 'mary');
  await story.goesAway('Kisumu');
  story.chapter('Kisumu is away; Mombasa works on, and what it says waits');
  const contract = await story.asks<Contract>(
    amina,
    'POST',
    '/contracts',
    { listingId, supplierId: `mary@${story.node('Kisumu').peerId}`, quantity: 80 },
    only(
      'contractId',
      'state',
      'title',
      'quantity',
      'unit',
      'price',
      'currency',
    ) as unknown as Show<Contract>,
  );
  story.called(contract.contractId, '<contract>');
  await story.comesBack('Kisumu');
  story.chapter('Kisumu is back');
  await story.hears(mary, 'amina proposes');
  return contract.contractId;
}

async function deliver(story: Story, mary: Person, amina: Person, contractId: string): Promise<void> {
  const path = `/contracts/${contractId}`;
  const state = only('state') as unknown as Show<Contract>;
  await story.asks<Contract>(mary, 'POST', `${path}/accept`, {}, state);
  await story.hears(amina, 'mary amekubali');
  await story.gets<Fields>(mary, '/listings/maize', only('title', 'quantity', 'available'));
  story.chapter('The lorry');
  await story.asks<unknown>(
    mary,
    'POST',
    `${path}/pings`,
    { status: 'loaded', percentComplete: 60 },
    () => undefined,
  );
  await story.hears(amina, 'mary anatoa taarifa');
  await story.asks<Contract>(mary, 'POST', `${path}/settle`, {}, state);
  await story.hears(amina, 'mary anasema');
  await story.asks<Contract>(amina, 'POST', `${path}/settle`, {}, state);
  await story.hears(mary, 'amina has settled');
}

async function keepTheNote(story: Story, amina: Person, contractId: string): Promise<void> {
  story.chapter('Amina keeps the deal note, and checks it without a node');
  const file = await story.saves(amina, `/contracts/${contractId}/note`, 'note.json');
  await story.command('Mombasa', ['contract', 'verify', file]);
}

async function rate(
  story: Story,
  { mary, amina, njeri }: { mary: Person; amina: Person; njeri: Person },
  contractId: string,
): Promise<void> {
  story.chapter('She rates, and Nairobi, which was no part of it, sees the distribution');
  await story.asks<unknown>(
    amina,
    'POST',
    '/submitRating',
    { contractId, score: 4, comment: 'Dry and on time' },
    () => undefined,
  );
  await story.hears(mary, 'amina has rated');
  const path = `/ratings/users/mary@${story.node('Kisumu').peerId}`;
  type Distribution = Readonly<Record<'levels' | 'nodes' | 'ratings' | 'breaches', unknown>>;
  type Reputation = { roles: { role: string; active: Distribution }[] };
  await story.gets<Reputation>(njeri, path, ({ roles }) =>
    roles.map(({ role, active }) => ({
      role,
      active: only('levels', 'nodes', 'ratings', 'breaches')(active),
    })),
  );
}

async function seeTheTrend(
  story: Story,
  { mary, amina, njeri }: { mary: Person; amina: Person; njeri: Person },
): Promise<void> {
  story.chapter('Two weeks of trade become a price that names nobody, and Nairobi sees how it moves');
  const buyers = [amina];
  for (const name of ['juma', 'neema'])
    await story.quietly(`(${name} of Mombasa buys of Mary too)`, async () => {
      buyers.push(await story.person('Mombasa', name, name, 'en'));
    });
  await story.quietly('(Four more deals are settled in this week, at 55 and 56)', () =>
    deals(story, mary, buyers, [55, 55, 56, 56]),
  );
  await story.weeksLater(1);
  await story.quietly('(Five are settled in the next, at 60)', () =>
    deals(story, mary, buyers, [60, 60, 60, 60, 60]),
  );
  await story.weeksLater(2);
  type Trends = { summary: string; topSignals: Fields[] };
  await story.sees<Trends>(
    njeri,
    '/trends?commodity=maize&region=Kisumu',
    ({ topSignals }) => topSignals.length > 0,
    ({ summary, topSignals }) => [
      summary,
      ...topSignals.map(only('commodity', 'kind', 'changePct', 'sampleSize')),
    ],
  );
}

/** A deal at each price, one after another with each of the buyers, settled by both. */
async function deals(
  story: Story,
  mary: Person,
  buyers: readonly Person[],
  prices: readonly number[],
): Promise<void> {
  const goods = { title: 'White maize', commodity: 'Maize', quantity: 10, unit: 'kg', currency: 'KES' };
  const supplierId = `mary@${story.node('Kisumu').peerId}`;
  for (const [i, price] of prices.entries()) {
    const buyer = buyers[i % buyers.length];
    if (buyer === undefined) throw new Error('nobody buys');
    const terms = { ...goods, price, supplierId };
    const { contractId } = await story.asks<Contract>(buyer, 'POST', '/contracts', terms, () => undefined);
    await story.asks(mary, 'POST', `/contracts/${contractId}/accept`, {}, () => undefined);
    await story.asks(mary, 'POST', `/contracts/${contractId}/settle`, {}, () => undefined);
    await story.asks(buyer, 'POST', `/contracts/${contractId}/settle`, {}, () => undefined);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const transcript = await playStory();
  if (process.argv.includes('--save')) saveSection('api/README.md', 'story', transcript);
  else console.log(transcript);
}
