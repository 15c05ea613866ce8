import type { AuthorCheckpoint, CheckpointOutcome, CheckpointsPort } from '../../api/ports/checkpoints.ts';
import type { Effective } from '../../protocols/checkpoint/effective.ts';
import type { Checkpoint } from '../../protocols/feed/checkpoint.ts';
import { type Env, pause } from '../../protocols/env.ts';
import { soleTurn, type Turn } from '../../protocols/ledger/turn.ts';
import type { Committed } from '../../protocols/ledger/types.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import { parseRecordKey } from '../../protocols/wire/ids.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { listVerdicts } from '../../storage/verdict-list.ts';
import { paced } from '../scrub/scrub.ts';
import { heldCheckpoints } from './held.ts';
import { type CheckpointTimes, VERIFY_COST } from './limits.ts';
import { CheckpointMaker, type HowMade, isExpected, type MakerParts } from './maker.ts';
import { takeEffect, type TakingEffectParts, type TakenEffect } from './taking-effect.ts';
import {
  isDecided,
  notedVerification,
  checkCheckpoint,
  type Verification,
  type VerifierParts,
} from './verifier.ts';

export interface CheckpointsParts
  extends
    Pick<MakerParts, 'identity' | 'net' | 'awaitFence' | 'isKeyElsewhere' | 'now'>,
    Pick<VerifierParts, 'store'> {
  readonly ledger: MakerParts['ledger'] & TakingEffectParts['ledger'];
  readonly db: VerifierParts['db'] & Parameters<typeof listVerdicts>[0];
  /** Days between two of this node's own; 0 makes none by itself. */
  readonly everyDays: number;
  /** Nodes whose entries are taken here. */
  readonly followed: () => Iterable<PeerId>;
  readonly onFalse: (checkpoint: Checkpoint) => void;
  /** Told of what was made, and of what was found of those of others. */
  readonly onEvent: (event: CheckpointEvent) => void;
  /** Whether checkpoints that are true take effect here. */
  readonly takesEffect?: boolean;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
  readonly env: Pick<Env, 'after' | 'cpu' | 'monotonic'>;
  readonly times: CheckpointTimes;
}

/** What became of a checkpoint: `made` here, or of another node `true`, `false` or `incomplete` by its entries, or `contested` when it has signed two. */
export interface CheckpointEvent {
  readonly node: PeerId;
  readonly id: string;
  readonly gen: number;
  readonly outcome: 'made' | 'contested' | Verification['outcome'];
}

type HowWorked = Pick<HowMade, 'turn' | 'signal'>;

const DAY_MS = 24 * 60 * 60_000;

/** Makes this node's checkpoints and verifies those of others, one after another and between other work. */
export class Checkpoints implements CheckpointsPort {
  readonly #parts: CheckpointsParts;
  readonly #maker: CheckpointMaker;
  readonly #queue = new SerialQueue();
  readonly #stopping = new AbortController();
  /** Ends what is done in the background, because somebody waits. */
  #background = new AbortController();
  #asked = 0;
  /** When an author may be verified again. */
  readonly #notBefore = new Map<PeerId, number>();
  /** The false checkpoint of each author that this process has told of. */
  readonly #told = new Map<PeerId, string>();
  /** The contested checkpoint of each author that this process has told of. */
  readonly #contested = new Map<PeerId, string>();
  readonly #counts = new Map<string, number>();
  /** Forks and erasures of authors since the start: what is covered may have changed. */
  readonly #changes = new Map<PeerId, number>();

  constructor(parts: CheckpointsParts) {
    this.#parts = parts;
    this.#maker = new CheckpointMaker({
      ...parts,
      lagMs: parts.times.lagMs,
      waitsForUpgrade: () => this.#waitsForUpgrade(parts.identity.peerId),
      stamp: () => this.#changes.get(parts.identity.peerId) ?? 0,
    });
  }

  /** To be told of every commit. */
  committed({ proofs, erased = [] }: Pick<Committed, 'proofs' | 'erased'>): void {
    const authors = [
      ...proofs.map(({ author }) => author),
      ...erased.flatMap((key) => parseRecordKey(key)?.owner ?? []),
    ];
    for (const author of authors) this.#changes.set(author, (this.#changes.get(author) ?? 0) + 1);
  }

  /** What was made, or found of those of others, since the start. */
  counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#queue.idle();
  }

  /** Makes a checkpoint when one is due, and verifies what has not been. */
  async look(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    if (this.#parts.takesEffect === true) await this.#takeAllEffect();
    if (await this.#isDue()) await this.#inBackground((how) => this.#makeDue(how));
    // What takes effect is verified with that, upon what it is upon.
    const verified = this.#parts.takesEffect === true ? [] : this.#parts.followed();
    for (const author of verified)
      await this.#inBackground((how) => this.#verify(author, how)).catch((error: unknown) =>
        // Whatever is wrong with what is held of one author, it is not with that of the others.
        this.#parts.log('a checkpoint could not be verified', { author, err: error }),
      );
  }

  plan(onProgress: HowMade['onProgress']): Promise<CheckpointOutcome> {
    return this.#atOnce((how) => this.#maker.plan({ ...how, onProgress }));
  }

  make(onProgress: HowMade['onProgress']): Promise<CheckpointOutcome> {
    return this.#atOnce((how) => this.#made({ ...how, onProgress }));
  }

  async status(): ReturnType<CheckpointsPort['status']> {
    const { identity, everyDays, followed } = this.#parts;
    const checkpoints: AuthorCheckpoint[] = [];
    for (const author of new Set([identity.peerId, ...followed()])) {
      const shown = await this.#statusOf(author);
      if (shown !== undefined) checkpoints.push(shown);
    }
    return { everyDays, checkpoints };
  }

  async #statusOf(author: PeerId): Promise<AuthorCheckpoint | undefined> {
    const { identity, net, store, db, env } = this.#parts;
    const { effective } = await heldCheckpoints(store, author, net, soleTurn(env));
    if (effective === undefined) return undefined;
    const { id, gen, time, count, bytes } = effective.checkpoint;
    const shown = { author, id, gen, time, count, bytes, contested: effective.contested };
    if (author === identity.peerId) return { ...shown, verified: 'own' };
    const noted = await notedVerification(db, author);
    if (noted?.id !== id) return { ...shown, verified: undefined };
    const { outcome, why } = noted;
    return { ...shown, verified: outcome, ...(why === undefined ? {} : { why }) };
  }

  async #isDue(): Promise<boolean> {
    const { identity, net, store, everyDays, now, env } = this.#parts;
    if (everyDays === 0) return false;
    const { effective } = await heldCheckpoints(store, identity.peerId, net, soleTurn(env));
    return (
      effective === undefined ||
      effective.contested ||
      now() - effective.checkpoint.time >= everyDays * DAY_MS
    );
  }

  async #makeDue(how: HowWorked): Promise<void> {
    try {
      await this.#made({ ...how, onProgress: () => undefined });
    } catch (error) {
      if (!isExpected(error)) throw error;
      this.#parts.log('no checkpoint was made', { code: error.code, why: error.message });
    }
  }

  #noted(outcome: CheckpointOutcome): CheckpointOutcome {
    if (outcome.outcome === 'made') {
      this.#count('made');
      const { id = '', figures } = outcome;
      this.#parts.onEvent({ node: this.#parts.identity.peerId, id, gen: figures?.gen ?? 0, outcome: 'made' });
      this.#parts.log('checkpoint made', { id: outcome.id, ...outcome.figures });
    }
    return outcome;
  }

  /** Where they take effect this one does at once: what is erased later cannot be covered any more. */
  async #made(how: HowMade): Promise<CheckpointOutcome> {
    const { identity, takesEffect } = this.#parts;
    if (takesEffect === true) await this.#takeEffect(identity.peerId, how);
    const outcome = this.#noted(await this.#maker.make(how));
    if (takesEffect === true && outcome.outcome === 'made') await this.#takeEffect(identity.peerId, how);
    return outcome;
  }

  async #takeAllEffect(): Promise<void> {
    const { identity, followed } = this.#parts;
    for (const author of new Set([identity.peerId, ...followed()]))
      await this.#inBackground(async (how) => void (await this.#takeEffect(author, how)));
  }

  /** Has those of an author take effect that are what the entries held give, this node's own among them. */
  takeEffect(author: PeerId): Promise<TakenEffect> {
    return this.#atOnce((how) => this.#takeEffect(author, how));
  }

  async #takeEffect(author: PeerId, how: HowWorked): Promise<TakenEffect> {
    const { identity, net, store, db, ledger, log } = this.#parts;
    const joins = author === identity.peerId;
    const stamp = (of: PeerId): unknown => this.#changes.get(of) ?? 0;
    const waitsForUpgrade = (of: PeerId): Promise<boolean> => this.#waitsForUpgrade(of);
    const taken = await takeEffect({ net, store, db, ledger, stamp, waitsForUpgrade, joins }, author, how);
    const { outcome, ids, why, checkpoint } = taken;
    if (ids.length > 0 || why !== undefined) log('checkpoints taking effect', { author, outcome, ids, why });
    if (checkpoint !== undefined && outcome === 'differs') this.#tell(checkpoint, 'false');
    return taken;
  }

  /** The effective checkpoint of an author, unless that was done or its turn has not come. */
  async #verify(author: PeerId, how: HowWorked): Promise<void> {
    const { identity, net, store, db, env, now, log, times } = this.#parts;
    if (author === identity.peerId || how.signal.aborted) return;
    if (env.monotonic() < (this.#notBefore.get(author) ?? -Infinity)) return;
    const { effective, tooMany } = await heldCheckpoints(store, author, net, how.turn);
    if (tooMany) log('an author has signed too many checkpoints: none of them is looked at', { author });
    const checkpoint = effective?.checkpoint;
    if (effective !== undefined) this.#tellContested(effective);
    const noted = await notedVerification(db, author);
    if (checkpoint === undefined || isDecided(noted, checkpoint)) {
      this.#rest(author, how, tooMany ? times.verifyMs : 0);
      if (checkpoint !== undefined) this.#tell(checkpoint, noted?.outcome);
      return;
    }
    const waitsForUpgrade = (of: PeerId): Promise<boolean> => this.#waitsForUpgrade(of);
    const parts = { store, db, waitsForUpgrade, now };
    const { outcome, why } = await checkCheckpoint(parts, checkpoint, how);
    this.#rest(author, how, times.verifyMs);
    this.#count(outcome);
    log('checkpoint verified', { author, id: checkpoint.id, outcome, why });
    this.#parts.onEvent({ node: author, id: checkpoint.id, gen: checkpoint.gen, outcome });
    this.#tell(checkpoint, outcome);
  }

  /** An author is looked at again after so many milliseconds at the least, and the later, the more it has cost. */
  #rest(author: PeerId, { turn }: HowWorked, atLeast: number): void {
    const rest = Math.max(atLeast, turn.usedMs() * VERIFY_COST);
    this.#notBefore.set(author, this.#parts.env.monotonic() + rest);
  }

  /** Once for each checkpoint that others stand beside. */
  #tellContested({ checkpoint: { author, id, gen }, contested }: Effective<Checkpoint>): void {
    if (!contested) this.#contested.delete(author);
    if (!contested || this.#contested.get(author) === id) return;
    this.#contested.set(author, id);
    this.#parts.onEvent({ node: author, id, gen, outcome: 'contested' });
  }

  /** Alarms are kept in memory: what an earlier process found is told again, once. */
  #tell(checkpoint: Checkpoint, outcome: Verification['outcome'] | undefined): void {
    const { author, id } = checkpoint;
    if (outcome !== 'false' || this.#told.get(author) === id) return;
    this.#told.set(author, id);
    this.#parts.onFalse(checkpoint);
  }

  async #waitsForUpgrade(author: PeerId): Promise<boolean> {
    for (const code of ['op-version-unknown', 'collection-unknown', 'op-type-unknown'])
      if ((await listVerdicts(this.#parts.db, 1, { author, state: 'pending', code }, '')).total > 0)
        return true;
    return false;
  }

  /** Work that somebody waits for: what is done in the background ends, and is done another time. */
  #atOnce<T>(work: (how: HowWorked) => Promise<T>): Promise<T> {
    this.#asked++;
    this.#background.abort();
    return this.#queue
      .run(() => work({ turn: soleTurn(this.#parts.env), signal: this.#stopping.signal }))
      .finally(() => this.#asked--);
  }

  /** Work that nobody waits for: a small share of a core. */
  #inBackground(work: (how: HowWorked) => Promise<void>): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#asked > 0) return;
      this.#background = new AbortController();
      const signal = AbortSignal.any([this.#stopping.signal, this.#background.signal]);
      try {
        await work({ turn: this.#pacedTurn(signal), signal });
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    });
  }

  #pacedTurn(signal: AbortSignal): Turn {
    const { env } = this.#parts;
    const turn = soleTurn(env);
    const pace = paced((ms) => pause(env, ms, signal));
    return {
      ...turn,
      async next() {
        await pace();
        await turn.next();
      },
    };
  }

  #count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }
}
