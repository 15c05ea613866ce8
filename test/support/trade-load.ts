import { systemEnv } from '../../daemon/system-env.ts';
import { pause } from '../../protocols/env.ts';
import type { DaemonProcess } from './daemon.ts';
import type { ProcessMember } from './federation.ts';
import { type MarketUser, marketUser } from './market-users.ts';
import { deal } from './terms.ts';
import { waitFor } from './wait.ts';

/** A contract between the two nodes, as far as its parties were told that it is. */
interface Trade {
  readonly id: string;
  accepted?: true;
  settledHere?: true;
  settledThere?: true;
  rated?: number;
}

interface Said {
  readonly conversation: string;
  readonly id: string;
  readonly content: string;
  /** Asked for, which may have been done; acknowledged, which must have been. */
  erasure?: 'asked' | 'acknowledged';
}

interface Shown {
  readonly state: string;
  readonly settledBy?: readonly string[];
}

/** The life that somebody wanted to ask has ended. */
class Ended extends Error {}

/** Long enough for whatever two idle nodes have to tell each other. */
const REACHES_MS = 30_000;

/**
 * Trades between a user of a node that is killed and one of its peer: contracts to the settlement, ratings, messages, and erasures of messages
 * and listings. Notes what was answered with 2xx, over all lives of the node.
 */
export class TradeLoad {
  readonly #trades: Trade[] = [];
  readonly #said: Said[] = [];
  readonly #erasedListings: string[] = [];
  readonly #buyerKey: string;
  readonly #supplier: MarketUser;
  readonly #supplierId: string;

  private constructor(buyerKey: string, supplier: MarketUser, peer: ProcessMember) {
    this.#buyerKey = buyerKey;
    this.#supplier = supplier;
    this.#supplierId = `ben@${peer.peerId}`;
  }

  static async begin(writer: ProcessMember, peer: ProcessMember): Promise<TradeLoad> {
    const { key } = await marketUser(writer, 'amina');
    return new TradeLoad(key, await marketUser(peer, 'ben'), peer);
  }

  /** Steps of all trades that were acknowledged. */
  get steps(): number {
    const of = ({ accepted, settledHere, settledThere, rated }: Trade): number =>
      1 + [accepted, settledHere, settledThere, rated].filter((step) => step !== undefined).length;
    return this.#trades.reduce((sum, trade) => sum + of(trade), 0);
  }

  get counts(): { trades: number; ratings: number; messages: number; erasures: number } {
    return {
      trades: this.#trades.length,
      ratings: this.#trades.filter(({ rated }) => rated !== undefined).length,
      messages: this.#said.length,
      erasures:
        this.#erasedListings.length + this.#said.filter(({ erasure }) => erasure === 'acknowledged').length,
    };
  }

  /** One trade after another, two at a time, until the signal or the end of the node. */
  async run(writer: DaemonProcess, signal: AbortSignal): Promise<void> {
    const isOver = (): boolean => signal.aborted || writer.child.killed;
    const one = async (): Promise<void> => {
      try {
        const chat = await this.#ask<{ id: string }>(writer, isOver, 'POST', '/conversations', {
          title: 'Maize',
          participants: [this.#supplierId],
        });
        for (let score = 1; !isOver(); score = (score % 4) + 1) {
          await this.#talk(writer, isOver, chat.id);
          await this.#trade(writer, isOver, score);
        }
      } catch (error) {
        if (!(error instanceof Ended)) throw error;
      }
    };
    await Promise.all([one(), one()]);
  }

  async #trade(writer: DaemonProcess, isOver: () => boolean, score: number): Promise<void> {
    const made = await this.#ask<{ contractId: string }>(writer, isOver, 'POST', '/contracts', {
      ...deal(1),
      title: 'Beans',
      buyerId: 'amina',
      supplierId: this.#supplierId,
    });
    const trade: Trade = { id: made.contractId };
    this.#trades.push(trade);
    const path = `/contracts/${encodeURIComponent(trade.id)}`;
    await until(isOver, async () => (await this.#there(path))?.state === 'proposed');
    await this.#supplier.json('POST', `${path}/accept`, {});
    trade.accepted = true;
    await until(
      isOver,
      async () => (await this.#ask<Shown>(writer, isOver, 'GET', path)).state === 'accepted',
    );
    await this.#ask(writer, isOver, 'POST', `${path}/settle`, {});
    trade.settledHere = true;
    await this.#supplier.json('POST', `${path}/settle`, {});
    trade.settledThere = true;
    await until(
      isOver,
      async () => (await this.#ask<Shown>(writer, isOver, 'GET', path)).state === 'settled',
    );
    await this.#ask(writer, isOver, 'POST', '/submitRating', { contractId: trade.id, score });
    trade.rated = score;
  }

  /** Two messages, the second of which is erased, and a listing that is. */
  async #talk(writer: DaemonProcess, isOver: () => boolean, conversation: string): Promise<void> {
    const path = `/messages/${encodeURIComponent(conversation)}`;
    const say = async (): Promise<Said> => {
      const content = `said ${this.#said.length} ${systemEnv.random()}`;
      const { message } = await this.#ask<{ message: { id: string } }>(writer, isOver, 'POST', path, {
        content,
      });
      const said: Said = { conversation, id: message.id, content };
      this.#said.push(said);
      return said;
    };
    await say();
    const second = await say();
    second.erasure = 'asked';
    await this.#ask(writer, isOver, 'DELETE', `${path}/${encodeURIComponent(second.id)}`);
    second.erasure = 'acknowledged';
    const listing = await this.#ask<{ id: string }>(writer, isOver, 'POST', '/listings', {
      type: 'offer',
      title: 'to be erased',
    });
    await this.#ask(writer, isOver, 'DELETE', `/listings/${encodeURIComponent(listing.id)}?erase=true`);
    this.#erasedListings.push(listing.id);
  }

  /** All that was acknowledged is there, here and at the peer; throws with the first that is not. */
  async expectThere(writer: DaemonProcess): Promise<void> {
    const alive = (): boolean => false;
    for (const trade of this.#trades) {
      const path = `/contracts/${encodeURIComponent(trade.id)}`;
      const here = (): Promise<Shown> => this.#ask<Shown>(writer, alive, 'GET', path);
      const least = leastOf(trade);
      // What it has answered itself is there at once; a step that its peer has answered may have been under way when it died.
      const shown = await here();
      if (trade.settledHere === true && rankOf(shown) < 2)
        throw new Error(`contract ${trade.id} shows ${JSON.stringify(shown)} after ${JSON.stringify(trade)}`);
      await waitFor(`contract ${trade.id} here`, async () => rankOf(await here()) >= least, REACHES_MS);
      await waitFor(
        `contract ${trade.id} at the peer`,
        async () => {
          const there = await this.#there(path);
          return there !== undefined && rankOf(there) >= least;
        },
        REACHES_MS,
      );
    }
    const { ratings } = await this.#ask<{ ratings: { contractId: string; score: number }[] }>(
      writer,
      alive,
      'GET',
      '/ratings?limit=500',
    );
    const rated = new Map(ratings.map((each) => [each.contractId, each.score]));
    for (const { id, rated: score } of this.#trades.slice(-100))
      if (score !== undefined && rated.get(id) !== score) throw new Error(`the rating of ${id} is gone`);
    await this.#expectSaid(writer);
    for (const id of this.#erasedListings) {
      const { status } = await this.#send(writer, 'GET', `/listings/${encodeURIComponent(id)}`);
      if (status !== 404 && status !== 410) throw new Error(`listing ${id} was erased and shows ${status}`);
    }
  }

  async #expectSaid(writer: DaemonProcess): Promise<void> {
    for (const [conversation, all] of Map.groupBy(this.#said, (said) => said.conversation)) {
      const path = `/messages/${encodeURIComponent(conversation)}`;
      const shown = await this.#ask<{ content: string }[]>(writer, () => false, 'GET', path);
      const contents = new Set(shown.map(({ content }) => content));
      // A page holds the newest.
      for (const { content, erasure } of all.slice(-20)) {
        if (erasure === undefined && !contents.has(content))
          throw new Error(`the message ${content} is gone`);
        if (erasure === 'acknowledged' && contents.has(content))
          throw new Error(`the message ${content} was erased and is there`);
      }
    }
  }

  async #there(path: string): Promise<Shown | undefined> {
    const response = await this.#supplier.request('GET', path);
    const text = await response.text();
    return response.ok ? (JSON.parse(text) as Shown) : undefined;
  }

  #send(writer: DaemonProcess, method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(writer.url + path, {
      method,
      headers: { 'x-api-key': this.#buyerKey, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  /** What the node answers its user; throws `Ended` when it is no more. */
  async #ask<T>(
    writer: DaemonProcess,
    isOver: () => boolean,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<T> {
    let text = '';
    let status = 0;
    try {
      if (isOver()) throw new Ended();
      const answer = await this.#send(writer, method, path, body);
      status = answer.status;
      text = await answer.text();
    } catch (error) {
      if (isOver()) throw new Ended();
      throw error;
    }
    if (status < 300) return JSON.parse(text) as T;
    if (isOver()) throw new Ended();
    throw new Error(`${method} ${path}: ${status} ${text}`);
  }
}

/** Waits for what another node has to bring. */
async function until(isOver: () => boolean, is: () => Promise<boolean>): Promise<void> {
  while (!(await is())) {
    if (isOver()) throw new Ended();
    await pause(systemEnv, 20);
  }
}

/** How far a contract is: proposed, accepted, settled by one, settled. */
function rankOf({ state, settledBy = [] }: Shown): number {
  if (state === 'settled') return 3;
  if (state !== 'accepted') return 0;
  return settledBy.length > 0 ? 2 : 1;
}

function leastOf({ accepted, settledHere, settledThere }: Trade): number {
  if (settledThere === true && settledHere === true) return 3;
  if (settledHere === true) return 2;
  return accepted === true ? 1 : 0;
}
