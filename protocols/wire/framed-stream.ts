import { AgrinetError } from '../errors.ts';
import { ByteQueue } from './byte-queue.ts';
import { MAX_PREFIX, readPrefix, withPrefix } from './frame-prefix.ts';
import type { ByteStream, StreamClosed, StreamMessage } from './stream.ts';

export interface FramedStreamOptions {
  /** The longest frame taken, in bytes, below 2^28. */
  readonly maxFrame: number;
  /** The longest frame sent; default: `maxFrame`. Requests are short where responses are long. */
  readonly maxSent?: number;
}

/** Read ahead at least this much, so that small frames do not stop and start the sender. */
const MIN_READ_AHEAD = 256 * 1024;

/**
 * Length-prefixed frames over one stream: what every stream protocol of ours is built on.
 *
 * A frame is an unsigned varint (minimal, at most four bytes) and that many bytes. Guaranteed: no frame above
 * `maxFrame` is ever buffered; what waits unread is bounded by `maxFrame` and the muxer's window, because the stream is
 * paused meanwhile; every await ends with its signal; after anything has thrown the stream is aborted and stays dead.
 * Not guaranteed: that a written frame arrived. Only an answer says that.
 *
 * Codes: `frame-too-long`, `frame-malformed`, `stream-truncated` (ended inside a frame or before the next one), `stream-closed`
 * (reset, or the connection went), `stream-timeout`, `stream-aborted` (by our own side).
 */
export class FramedStream {
  readonly #stream: ByteStream;
  readonly #maxFrame: number;
  readonly #maxSent: number;
  /** The stream is paused at `high` bytes unread and resumed at `low`. */
  readonly #high: number;
  readonly #low: number;
  readonly #queue = new ByteQueue();
  readonly #readers = new Set<() => void>();
  readonly #writers = new Set<() => void>();
  #failure: AgrinetError | undefined;
  #remoteEnded: boolean;
  #reading = false;
  #resuming = false;

  constructor(stream: ByteStream, { maxFrame, maxSent = maxFrame }: FramedStreamOptions) {
    for (const most of [maxFrame, maxSent]) {
      if (!Number.isSafeInteger(most) || most < 1 || most >= 2 ** 28)
        throw new AgrinetError('frame-too-long', 'maxFrame and maxSent must be between 1 and 2^28 - 1');
    }
    this.#stream = stream;
    this.#maxFrame = maxFrame;
    this.#maxSent = maxSent;
    this.#high = Math.max(maxFrame + MAX_PREFIX, MIN_READ_AHEAD);
    this.#low = this.#high >>> 1;
    this.#remoteEnded = stream.remoteWriteStatus === 'closed' && stream.status !== 'closed';
    stream.addEventListener('message', (event) => this.#onMessage(event));
    stream.addEventListener('remoteCloseWrite', () => {
      this.#remoteEnded = true;
      wake(this.#readers);
    });
    stream.addEventListener('close', (event) => this.#onClose(event));
    stream.addEventListener('drain', () => wake(this.#writers));
    if (stream.status !== 'open' && stream.status !== 'closing')
      this.#fail(new AgrinetError('stream-closed', 'the stream is closed already'));
  }

  /** The next frame in memory of its own, or null when the remote closed between two frames. One read at a time. */
  async read(signal: AbortSignal): Promise<Uint8Array | null> {
    if (this.#reading) throw new AgrinetError('internal', 'two reads at once on one stream');
    if (signal.aborted) throw this.#fail(aborted(signal));
    this.#reading = true;
    try {
      return await this.#readFrame(signal);
    } catch (error) {
      throw this.#fail(error instanceof AgrinetError ? error : broken(error));
    } finally {
      this.#reading = false;
    }
  }

  /** The same where a frame has to come: a remote that closes before it was stopped, and has done nothing wrong (`stream-truncated`). */
  async readNext(signal: AbortSignal): Promise<Uint8Array> {
    const frame = await this.read(signal);
    if (frame === null) throw this.#fail(new AgrinetError('stream-truncated', 'the stream ended too early'));
    return frame;
  }

  /** Hands one frame to the muxer; waits while it is full. Resolved does not mean received. */
  async write(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    if (bytes.length > this.#maxSent) throw new AgrinetError('frame-too-long', 'a frame above our own limit');
    if (signal.aborted) throw this.#fail(aborted(signal));
    // not stream.onDrain(): it resolves at once after the first time
    while (this.#failure === undefined && this.#stream.writableNeedsDrain)
      await this.#wait(this.#writers, signal);
    if (this.#failure !== undefined) throw this.#failure;
    try {
      this.#stream.send(withPrefix(bytes));
    } catch (error) {
      throw this.#fail(broken(error));
    }
  }

  /** Flushes and closes our side; reading continues until the remote closes its own. */
  async close(signal: AbortSignal): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      await this.#stream.close({ signal });
    } catch (error) {
      throw this.#fail(signal.aborted ? aborted(signal) : broken(error));
    }
  }

  /** Resets the stream at once, in both directions. Harmless on a stream that is already closed. */
  abort(error: unknown): void {
    this.#fail(
      error instanceof AgrinetError
        ? error
        : new AgrinetError('stream-aborted', 'aborted by us', { cause: error }),
    );
  }

  #onMessage({ data }: StreamMessage): void {
    if (this.#failure !== undefined) return;
    if (data instanceof Uint8Array) this.#queue.push(data);
    else for (const chunk of data) this.#queue.push(chunk);
    wake(this.#readers);
    // never inside resume(): libp2p would then send window updates for a stream it holds paused
    if (!this.#resuming) this.#pauseWhenFull();
  }

  #onClose({ error }: StreamClosed): void {
    if (error !== undefined)
      this.#fail(new AgrinetError('stream-closed', 'the stream was reset', { cause: error }));
    else if (!this.#remoteEnded) this.#fail(new AgrinetError('stream-closed', 'the connection went'));
    wake(this.#readers);
    wake(this.#writers);
  }

  /** The first failure is kept: every later call fails with it. */
  #fail(error: AgrinetError): AgrinetError {
    if (this.#failure !== undefined) return this.#failure;
    this.#failure = error;
    this.#queue.clear();
    const { status } = this.#stream;
    if (status === 'open' || status === 'closing') this.#stream.abort(error);
    wake(this.#readers);
    wake(this.#writers);
    return error;
  }

  async #readFrame(signal: AbortSignal): Promise<Uint8Array | null> {
    const queue = this.#queue;
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const next = readPrefix(queue, this.#maxFrame);
      const wanted = next === undefined ? queue.length + 1 : next.prefix + next.length;
      if (next !== undefined && queue.length >= wanted) {
        queue.take(next.prefix);
        const frame = queue.take(next.length);
        this.#resumeWhenLow(0);
        return frame;
      }
      const before = queue.length;
      this.#resumeWhenLow(wanted);
      if (queue.length > before) continue;
      if (this.#remoteEnded && this.#stream.readBufferLength === 0) {
        if (queue.length === 0) return null;
        throw new AgrinetError('stream-truncated', 'the stream ended inside a frame');
      }
      await this.#wait(this.#readers, signal);
    }
  }

  #pauseWhenFull(): void {
    if (this.#queue.length >= this.#high && this.#stream.readStatus === 'readable') this.#stream.pause();
  }

  #resumeWhenLow(wanted: number): void {
    const { length } = this.#queue;
    if (this.#stream.readStatus !== 'paused' || (length > this.#low && length >= wanted)) return;
    this.#resuming = true;
    try {
      this.#stream.resume();
    } catch (error) {
      // the window update found the muxer closed; what was buffered has been delivered before
      if (!this.#remoteEnded)
        this.#fail(new AgrinetError('stream-closed', 'the connection went', { cause: error }));
    } finally {
      this.#resuming = false;
    }
    this.#pauseWhenFull();
  }

  /** Waits for a wake-up; a signal that fires meanwhile is a failure of the stream. */
  #wait(waiting: Set<() => void>, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        waiting.delete(done);
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        waiting.delete(done);
        reject(this.#fail(aborted(signal)));
      };
      waiting.add(done);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}

function wake(waiting: ReadonlySet<() => void>): void {
  for (const go of waiting) go();
}

function aborted(signal: AbortSignal): AgrinetError {
  const reason: unknown = signal.reason;
  const late = reason instanceof Error && reason.name === 'TimeoutError';
  return late
    ? new AgrinetError('stream-timeout', 'the stream took too long', { cause: reason })
    : new AgrinetError('stream-aborted', 'aborted by us', { cause: reason });
}

function broken(error: unknown): AgrinetError {
  return new AgrinetError('stream-closed', 'the stream broke', { cause: error });
}
