import type { Env } from '../env.ts';
import type { SnapshotList } from '../checkpoint/snapshot-list.ts';
import { AgrinetError } from '../errors.ts';
import { concat } from '../wire/bytes.ts';
import type { PeerId } from '../wire/identity.ts';
import { AskBudget } from './ask-budget.ts';
import { packFrame } from './packed-frame.ts';
import { SNAPSHOT_STREAM_LIMITS, type SnapshotRequest } from './snapshot-request.ts';

/** What of snapshots a node can serve. */
export interface SnapshotSource {
  /** Envelopes of an author's checkpoints that none replaces: the effective one, and behind it another one where there is. */
  checkpoints(author: PeerId): Promise<readonly Uint8Array[]>;
  /**
   * A list of the snapshot of this very checkpoint; undefined where it is not held. Throws `busy` where to make it would cost more than is
   * done for this asker.
   */
  open(
    author: PeerId,
    checkpoint: string,
    list: SnapshotList,
    asker: string,
  ): Promise<ServedList | undefined>;
}

/** The chunks of one list, made anew for whoever asks. */
export interface ServedList {
  /** Of all chunks, in order, 32 bytes each. */
  hashes(): AsyncIterable<Uint8Array>;
  /** The bytes of these chunks, in order; fewer where it is not held any more. */
  chunks(first: number, last: number): AsyncIterable<Uint8Array>;
}

/** Whoever asks over HTTPS and signs nothing. */
export const UNSIGNED = '';

/** Says that this node does not have it. */
export const NOT_HELD = new Uint8Array(0);

/** Gives snapshots to whoever asks, each asker as often as it may. */
export class SnapshotAnswers {
  readonly #env: Pick<Env, 'monotonic' | 'offload'>;
  readonly #source: SnapshotSource;
  readonly #asked: AskBudget;

  constructor(env: Pick<Env, 'monotonic' | 'offload'>, source: SnapshotSource) {
    this.#env = env;
    this.#source = source;
    this.#asked = new AskBudget(SNAPSHOT_STREAM_LIMITS, env);
  }

  /** The frames of an answer. Throws `busy` for whoever asks too often. */
  async *frames(asker: string, request: SnapshotRequest): AsyncGenerator<Uint8Array> {
    if (!this.#asked.take(asker))
      throw new AgrinetError('busy', 'snapshots are asked for too often; go on in a moment');
    let sent = 0;
    for await (const frame of framesFor(this.#source, asker, request, this.#env.offload)) {
      yield frame;
      sent++;
      this.#asked.charge(asker, 1);
    }
    if (sent === 0) yield NOT_HELD;
  }
}

async function* framesFor(
  source: SnapshotSource,
  asker: string,
  request: SnapshotRequest,
  offload: Env['offload'],
): AsyncGenerator<Uint8Array> {
  const { author } = request;
  if (request.kind === 'checkpoints') {
    const held = await source.checkpoints(author);
    yield* held.slice(0, SNAPSHOT_STREAM_LIMITS.checkpoints);
    return;
  }
  const list = await source.open(author, request.checkpoint, request.list, asker);
  if (list === undefined) return;
  if (request.kind === 'hashes') yield* gathered(list.hashes());
  else for await (const chunk of list.chunks(request.first, request.last)) yield packFrame(chunk, offload);
}

async function* gathered(hashes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let some: Uint8Array[] = [];
  for await (const hash of hashes) {
    some.push(hash);
    if (some.length < SNAPSHOT_STREAM_LIMITS.hashes) continue;
    yield concat(some);
    some = [];
  }
  if (some.length > 0) yield concat(some);
}
