import { LRUCache } from 'lru-cache';
import { Counts } from '../counts.ts';
import { AgrinetError, errorCode } from '../errors.ts';
import { atMost } from '../lru-bound.ts';
import type { FramedStream } from '../wire/framed-stream.ts';
import type { Access } from './ports.ts';

export interface AnswerLimits {
  /** Answers under way in total. */
  readonly answering: number;
  /** Of them for one peer. */
  readonly answeringPerPeer: number;
  /** Those beyond the first of each peer, of all peers together: a few that take slowly leave room for those that have none. */
  readonly further: number;
}

/** Slow peers remembered; the one that was slow longest ago is forgotten first. */
const REMEMBERED = 2048;

/**
 * Which peers may have an answer now. A peer that took the last one too slowly gets one at a time until it has taken one completely,
 * and all such peers together half of the slots: however many are slow, the others are answered.
 */
export class AnswerSlots {
  readonly #limits: AnswerLimits;
  readonly #busy = new Counts<string>();
  readonly #slow = new LRUCache<string, true>(atMost(REMEMBERED));
  #total = 0;
  /** Of slow peers. */
  #slowly = 0;

  constructor(limits: AnswerLimits) {
    this.#limits = limits;
  }

  /** Takes a slot; the returned function releases it. Undefined when there is none for this peer. */
  take(peer: string): ((how: 'taken' | 'slow' | 'failed') => void) | undefined {
    const { answering, answeringPerPeer, further } = this.#limits;
    const busy = this.#busy.of(peer);
    const slow = this.#slow.has(peer);
    if (this.#total >= answering || busy >= (slow ? 1 : answeringPerPeer)) return undefined;
    if (busy > 0 && this.#total - this.#busy.size >= further) return undefined;
    if (slow && this.#slowly >= answering / 2) return undefined;
    this.#busy.add(peer);
    this.#total++;
    if (slow) this.#slowly++;
    return (how) => {
      this.#total--;
      if (slow) this.#slowly--;
      this.#busy.add(peer, -1);
      this.#note(peer, how);
    };
  }

  #note(peer: string, how: 'taken' | 'slow' | 'failed'): void {
    if (how === 'failed') return;
    if (how === 'taken') this.#slow.delete(peer);
    else this.#slow.set(peer, true);
  }
}

export interface AnswerParts {
  readonly access: Pick<Access, 'mayReplicate'>;
  readonly onFailure: (peer: string, error: unknown) => void;
}

/** Answers the streams of one protocol: registered peers alone, within its limits. */
export class BoundedAnswers {
  readonly #parts: AnswerParts;
  readonly #slots: AnswerSlots;

  constructor(parts: AnswerParts, limits: AnswerLimits) {
    this.#parts = parts;
    this.#slots = new AnswerSlots(limits);
  }

  /** Serves a stream, or resets it. Never throws: what serving throws goes to `onFailure`, a timeout as `answer-slow`. */
  async give(frames: FramedStream, peer: string, serve: () => Promise<void>): Promise<void> {
    const { access, onFailure } = this.#parts;
    if (!access.mayReplicate(peer))
      return frames.abort(new AgrinetError('not-registered', 'not registered here'));
    const release = this.#slots.take(peer);
    if (release === undefined) return frames.abort(new AgrinetError('busy', 'too many answers under way'));
    try {
      await serve();
      release('taken');
    } catch (error) {
      // Any other failure says nothing about the peer's speed.
      const isSlow = errorCode(error) === 'stream-timeout';
      release(isSlow ? 'slow' : 'failed');
      frames.abort(error);
      onFailure(
        peer,
        isSlow ? new AgrinetError('answer-slow', 'it took its answer too slowly', { cause: error }) : error,
      );
    }
  }
}
