import { AgrinetError } from '../errors.ts';
import { ByteQueue } from './byte-queue.ts';
import type { ByteStream, StreamClosed, StreamMessage } from './stream.ts';

/**
 * Length-prefixed frames over one stream: what every stream protocol of ours is built on.
 *
 * A frame is an unsigned varint (minimal, at most four bytes) and that many bytes. Guaranteed: no frame above
 * `maxFrame` is ever buffered; what waits unread is bounded by `maxFrame` and the muxer's window, because the stream is
 * paused meanwhile; every await ends with its signal; after anything has thrown the stream is aborted and stays dead.
 * Not guaranteed: that a written frame arrived. Only an answer says that.
 *
 * Codes: `frame-too-long`, `frame-malformed`, `stream-truncated` (ended inside a frame), `stream-closed` (reset, or the
 * connection went), `stream-timeout`, `stream-aborted` (by our own side).
 */
export interface FramedStream {
  /** The next frame in memory of its own, or null when the remote closed between two frames. One read at a time. */
  read(signal: AbortSignal): Promise<Uint8Array | null>;
  /** Hands one frame to the muxer; waits while it is full. Resolved does not mean received. */
  write(bytes: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Flushes and closes our side; reading goes on until the remote closes its own. */
  close(signal: AbortSignal): Promise<void>;
  /** Resets the stream at once, in both directions. Harmless on a stream that is already closed. */
  abort(error: Error): void;
}

export interface FramedStreamOptions {
  /** The longest frame taken, in bytes, below 2^28. */
  readonly maxFrame: number;
  /** The longest frame sent; default: `maxFrame`. What is asked is short where what is answered is long. */
  readonly maxSent?: number;
}

const MAX_PREFIX = 4;
/** Read ahead at least this much, so that small frames do not stop and start the sender. */
const MIN_READ_AHEAD = 256 * 1024;

/** Frames over a stream; the stream belongs to it from here on. */
export function framed(stream: ByteStream, options: FramedStreamOptions): FramedStream {
  const { maxFrame, maxSent = maxFrame } = options;
  for (const most of [maxFrame, maxSent]) {
    if (!Number.isSafeInteger(most) || most < 1 || most >= 2 ** 28)
      throw new AgrinetError('frame-too-long', 'maxFrame and maxSent must be between 1 and 2^28 - 1');
  }
  const highWater = Math.max(maxFrame + MAX_PREFIX, MIN_READ_AHEAD);
  const lowWater = highWater >>> 1;

  const queue = new ByteQueue();
  let failure: AgrinetError | undefined;
  let remoteEnded = stream.remoteWriteStatus === 'closed' && stream.status !== 'closed';
  let reading = false;
  let resuming = false;
  const readers = new Set<() => void>();
  const writers = new Set<() => void>();

  const wake = (waiting: Set<() => void>): void => {
    for (const go of waiting) go();
  };

  const fail = (error: AgrinetError): AgrinetError => {
    if (failure === undefined) {
      failure = error;
      queue.clear();
      if (stream.status === 'open' || stream.status === 'closing') stream.abort(error);
      wake(readers);
      wake(writers);
    }
    return failure;
  };

  stream.addEventListener('message', (event: StreamMessage) => {
    if (failure !== undefined) return;
    if (event.data instanceof Uint8Array) queue.push(event.data);
    else for (const chunk of event.data) queue.push(chunk);
    wake(readers);
    // never inside resume(): libp2p would then send window updates for a stream it holds paused
    if (!resuming) pauseWhenFull();
  });
  stream.addEventListener('remoteCloseWrite', () => {
    remoteEnded = true;
    wake(readers);
  });
  stream.addEventListener('close', (event: StreamClosed) => {
    if (event.error !== undefined)
      fail(new AgrinetError('stream-closed', 'the stream was reset', { cause: event.error }));
    else if (!remoteEnded) fail(new AgrinetError('stream-closed', 'the connection went'));
    wake(readers);
    wake(writers);
  });
  stream.addEventListener('drain', () => wake(writers));
  if (stream.status !== 'open' && stream.status !== 'closing') {
    fail(new AgrinetError('stream-closed', 'the stream is closed already'));
  }

  function pauseWhenFull(): void {
    if (queue.length >= highWater && stream.readStatus === 'readable') stream.pause();
  }
  function resumeWhenLow(wanted: number): void {
    if (stream.readStatus !== 'paused' || (queue.length > lowWater && queue.length >= wanted)) return;
    resuming = true;
    try {
      stream.resume();
    } catch (error) {
      // the window update found the muxer closed; what was buffered has been delivered before
      if (!remoteEnded) fail(new AgrinetError('stream-closed', 'the connection went', { cause: error }));
    } finally {
      resuming = false;
    }
    pauseWhenFull();
  }

  /** Waits for a wake-up; a signal that fires meanwhile is a failure of the stream. */
  function wait(waiting: Set<() => void>, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        waiting.delete(done);
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        waiting.delete(done);
        reject(fail(aborted(signal)));
      };
      waiting.add(done);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** The length of the next frame and of its prefix, or undefined while the prefix is not whole. */
  function peekLength(): { prefix: number; length: number } | undefined {
    let length = 0;
    for (let prefix = 1; prefix <= MAX_PREFIX; prefix++) {
      const byte = queue.at(prefix - 1);
      if (byte === undefined) return undefined;
      length |= (byte & 0x7f) << (7 * (prefix - 1));
      if (byte >= 0x80) continue;
      if (byte === 0 && prefix > 1)
        throw new AgrinetError('frame-malformed', 'a length in more bytes than it needs');
      if (length > maxFrame) {
        throw new AgrinetError('frame-too-long', 'a frame above the limit', {
          details: { length, maxFrame },
        });
      }
      return { prefix, length };
    }
    throw new AgrinetError('frame-malformed', 'a length of more than four bytes');
  }

  async function readFrame(signal: AbortSignal): Promise<Uint8Array | null> {
    for (;;) {
      if (failure !== undefined) throw failure;
      const next = peekLength();
      const wanted = next === undefined ? queue.length + 1 : next.prefix + next.length;
      if (next !== undefined && queue.length >= wanted) {
        queue.take(next.prefix);
        const frame = queue.take(next.length);
        resumeWhenLow(0);
        return frame;
      }
      const before = queue.length;
      resumeWhenLow(wanted);
      if (queue.length > before) continue;
      if (remoteEnded && stream.readBufferLength === 0) {
        if (queue.length === 0) return null;
        throw new AgrinetError('stream-truncated', 'the stream ended inside a frame');
      }
      await wait(readers, signal);
    }
  }

  return {
    async read(signal) {
      if (reading) throw new AgrinetError('internal', 'two reads at once on one stream');
      if (signal.aborted) throw fail(aborted(signal));
      reading = true;
      try {
        return await readFrame(signal);
      } catch (error) {
        throw fail(error instanceof AgrinetError ? error : broken(error));
      } finally {
        reading = false;
      }
    },
    async write(bytes, signal) {
      if (bytes.length > maxSent) throw new AgrinetError('frame-too-long', 'a frame above our own limit');
      if (signal.aborted) throw fail(aborted(signal));
      // not stream.onDrain(): it resolves at once after the first time
      while (failure === undefined && stream.writableNeedsDrain) await wait(writers, signal);
      if (failure !== undefined) throw failure;
      try {
        stream.send(withPrefix(bytes));
      } catch (error) {
        throw fail(broken(error));
      }
    },
    async close(signal) {
      if (failure !== undefined) throw failure;
      try {
        await stream.close({ signal });
      } catch (error) {
        throw fail(signal.aborted ? aborted(signal) : broken(error));
      }
    },
    abort(error) {
      fail(
        error instanceof AgrinetError
          ? error
          : new AgrinetError('stream-aborted', 'aborted by us', { cause: error }),
      );
    },
  };
}

function withPrefix(bytes: Uint8Array): Uint8Array {
  let rest = bytes.length;
  let prefix = 1;
  for (let more = rest >>> 7; more > 0; more >>>= 7) prefix++;
  const out = new Uint8Array(prefix + bytes.length);
  for (let at = 0; at < prefix; at++) {
    out[at] = (rest & 0x7f) | (at < prefix - 1 ? 0x80 : 0);
    rest >>>= 7;
  }
  out.set(bytes, prefix);
  return out;
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
