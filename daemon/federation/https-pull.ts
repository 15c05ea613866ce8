import type { AskedSource, SignedRequest, SyncOutcome } from '../../api/ports/sync-target.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { CATCH_UP_LIMITS, CatchUpPlan, type Need } from '../../protocols/mycelium/catch-up.ts';
import type { FrontierPage } from '../../protocols/mycelium/frontier-page.ts';
import { pullFeed, type PullTarget } from '../../protocols/mycelium/pull.ts';
import { Pulls } from '../../protocols/mycelium/pulls.ts';
import type { TakenItems } from '../../protocols/mycelium/take-items.ts';
import { HttpsTransport, PULL_LIMITS } from './https-transport.ts';
import type { SyncParts, SyncRun } from './sync-parts.ts';

type Agrinetd = Extract<AskedSource, { kind: 'agrinetd' }>;

const NOTHING = { received: 0, imported: 0, unchanged: 0, refused: 0 } as const;

/** Mycelium over HTTPS: the source's frontier, then the ranges that are missing here. */
export function pullFeeds(
  parts: SyncParts,
  source: Agrinetd,
  force: boolean,
  run: SyncRun,
): Promise<SyncOutcome> {
  return new HttpsPull(parts, source, force, run).pull();
}

/** One sync with one source. Tried once: the job comes again as a whole. */
class HttpsPull {
  readonly #parts: SyncParts;
  readonly #source: Agrinetd;
  readonly #run: SyncRun;
  readonly #transport: HttpsTransport;
  readonly #target: PullTarget<SignedRequest>;
  readonly #pulls: Pulls;
  #received = 0;
  #receivedPrivate = 0;
  #ignored = 0;
  /** When something new arrived. */
  #newAt: number;
  /** Total digest that the source has shown, hex. */
  #digest = '';
  #failure: unknown;
  #isOver = false;

  constructor(parts: SyncParts, source: Agrinetd, force: boolean, run: SyncRun) {
    const { env, target } = parts;
    const { id } = source;
    this.#parts = parts;
    this.#source = source;
    this.#run = run;
    this.#transport = new HttpsTransport(parts, source, force ? undefined : source.etag);
    this.#target = {
      rangeRequest: (feed, from) => target.rangeRequest(id, feed, from),
      receive: (feed, items) => target.receive(id, feed, items),
    };
    this.#pulls = new Pulls(
      {
        env,
        now: env.monotonic,
        reachable: () => !this.#isOver,
        pull: (_, need) => this.#pull(need),
        isBehind: () => false,
        onEnded: () => undefined,
      },
      // The source is the only peer: no other waits for its places, and each of its feeds is tried.
      new CatchUpPlan({
        tries: 1,
        patience: Infinity,
        pullsWhileFailing: CATCH_UP_LIMITS.pullsPerPeer,
      }),
    );
    this.#newAt = env.monotonic();
  }

  async pull(): Promise<SyncOutcome> {
    const pages = this.#transport.frontier(this.#run.signal);
    try {
      const first = await pages.next();
      if (!this.#transport.isUnchanged) await this.#catchUp(this.#shown(first, pages));
    } finally {
      await pages.return('');
    }
    const { bytes, shownEtag } = this.#transport;
    return {
      ...NOTHING,
      received: this.#received,
      ...(this.#receivedPrivate === 0 ? {} : { receivedPrivate: this.#receivedPrivate }),
      refused: this.#ignored,
      bytes,
      ...(this.#digest === '' ? {} : { lastHash: this.#digest }),
      ...(this.#ignored === 0 && shownEtag !== undefined ? { etag: shownEtag } : {}),
    };
  }

  async *#shown(
    first: IteratorResult<FrontierPage, string>,
    pages: AsyncGenerator<FrontierPage, string>,
  ): AsyncGenerator<FrontierPage> {
    let page = first;
    for (; page.done !== true; page = await pages.next()) yield page.value;
    this.#digest = page.value;
  }

  /** One feed that fails does not keep the others from coming; the first failure is thrown in the end. */
  async #catchUp(pages: AsyncIterable<FrontierPage>): Promise<void> {
    const { id } = this.#source;
    for (const feed of await this.#parts.target.plan(id, pages)) this.#pulls.want(id, feed);
    await this.#pulls.idle();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #pull({ group }: Need): Promise<number | undefined> {
    try {
      return await pullFeed(
        { transport: this.#transport, target: this.#target, now: this.#parts.env.monotonic },
        group,
        {
          signal: this.#run.signal,
          hasOthers: () => false,
          onTaken: (taken) => this.#took(taken, group.channel === 'public'),
        },
      );
    } catch (error) {
      this.#failure ??= error;
      this.#isOver ||=
        this.#run.signal.aborted || this.#isUseless() || errorCode(error) === 'certificate-foreign';
      return undefined;
    }
  }

  #isUseless(): boolean {
    return this.#parts.env.monotonic() - this.#newAt > PULL_LIMITS.uselessMs;
  }

  async #took({ accepted, ignored }: TakenItems, isPublic: boolean): Promise<void> {
    this.#received += accepted;
    if (!isPublic) this.#receivedPrivate += accepted;
    this.#ignored += ignored;
    if (accepted > 0) this.#newAt = this.#parts.env.monotonic();
    else if (this.#isUseless())
      throw new AgrinetError('pull-slow', `${this.#source.url} has sent nothing new for a while`);
    await this.#run.progress({ received: this.#received, bytes: this.#transport.bytes });
  }
}
