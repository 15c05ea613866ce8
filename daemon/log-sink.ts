import type { Env } from '../protocols/env.ts';
import type { Output } from './log-output.ts';

/** Bytes of log kept for a reader that has stopped reading, or a slow disk; beyond them lines are dropped, and the daemon continues. */
const BACKLOG_BYTES = 8 * 1024 * 1024;
/** Between two tries at an output that failed: a disk that is full again and again costs a write a second. */
const AGAIN_MS = 1000;
/** A batch of one write. */
const BATCH_BYTES = 64 * 1024;

export interface SinkOptions {
  readonly env: Pick<Env, 'monotonic' | 'after'>;
  /** The line that says how many were dropped, once there is room again. */
  readonly notice: (dropped: number) => string;
  readonly backlogBytes?: number;
}

/** Where log lines go. It never throws, never waits, and never holds the process open beyond `close`. */
export class LogSink {
  readonly #output: Output;
  readonly #options: SinkOptions;
  #lines: Buffer[] = [];
  #bytes = 0;
  #writing: Uint8Array | undefined;
  #dropped = 0;
  /** Those of them that no notice has reported. */
  #unnoticed = 0;
  /** The number in the notice of the current batch; unreported again when that fails. */
  #noticing = 0;
  #failedAt: number | undefined;
  /** A line of which the output took a part only: the next one begins on a line of its own. */
  #torn = false;
  #closed = false;
  readonly #idle: (() => void)[] = [];

  constructor(output: Output, options: SinkOptions) {
    this.#output = output;
    this.#options = options;
  }

  write(line: string): void {
    const { env, backlogBytes = BACKLOG_BYTES } = this.#options;
    const waits = this.#failedAt !== undefined && env.monotonic() - this.#failedAt < AGAIN_MS;
    const buffer = Buffer.from(line);
    if (this.#closed || waits || this.#bytes + buffer.length > backlogBytes) {
      this.#drop(1);
      return;
    }
    this.#lines.push(buffer);
    this.#bytes += buffer.length;
    this.#pump();
  }

  /** Lines that were not written because the output was full, gone or too slow. */
  dropped(): number {
    return this.#dropped;
  }

  /** At the end of a process that did not close: writes what can be written at once. */
  flushNow(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      for (let rest = this.#nextBatch(); rest !== undefined; rest = this.#nextBatch())
        while (rest.length > 0) rest = rest.subarray(this.#output.writeNow(rest));
    } catch {
      this.#drop(this.#lines.length); // nobody can be told any more
    }
  }

  /** Resolves when all is out, or after `ms`; what then is left is dropped. */
  async close(ms: number): Promise<void> {
    if (this.#closed) return;
    if (this.#writing !== undefined || this.#lines.length > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = this.#options.env.after(ms, resolve, { holds: true });
      this.#idle.push(resolve);
      this.#pump();
      await promise;
      timer.cancel();
    }
    this.#closed = true;
    this.#output.destroy();
  }

  #drop(count: number): void {
    this.#dropped += count;
    this.#unnoticed += count;
  }

  #nextBatch(): Uint8Array | undefined {
    const batch: Buffer[] = [];
    if (this.#unnoticed > 0 && this.#lines.length > 0) {
      batch.push(Buffer.from(`${this.#torn ? '\n' : ''}${this.#options.notice(this.#unnoticed)}`));
      this.#noticing = this.#unnoticed;
      this.#unnoticed = 0;
    }
    for (let size = 0; size < BATCH_BYTES;) {
      const line = this.#lines.shift();
      if (line === undefined) break;
      this.#bytes -= line.length;
      size += line.length;
      batch.push(line);
    }
    return batch.length === 0 ? undefined : Buffer.concat(batch);
  }

  #pump(): void {
    if (this.#writing !== undefined || this.#closed) return;
    const batch = this.#nextBatch();
    if (batch === undefined) this.#becomeIdle();
    else this.#writeRest(batch, false);
  }

  #writeRest(rest: Uint8Array, started: boolean): void {
    this.#writing = rest;
    this.#output.write(rest, (error, written) => {
      if (this.#closed) return;
      if (error !== null) {
        this.#fail(rest, started);
        return;
      }
      this.#failedAt = undefined;
      if (written < rest.length) this.#writeRest(rest.subarray(written), true);
      else {
        this.#writing = undefined;
        this.#noticing = 0;
        this.#torn = false;
        this.#pump();
      }
    });
  }

  #fail(rest: Uint8Array, started: boolean): void {
    this.#failedAt = this.#options.env.monotonic();
    this.#torn ||= started;
    // The notice does not count as a line; a batch that was partly written may have included it.
    const own = this.#noticing > 0 && !started ? 1 : 0;
    if (own > 0) this.#unnoticed += this.#noticing;
    this.#noticing = 0;
    this.#drop(countLines(rest) - own + this.#lines.length);
    this.#lines = [];
    this.#bytes = 0;
    this.#writing = undefined;
    this.#becomeIdle();
  }

  #becomeIdle(): void {
    this.#idle.splice(0).forEach((tell) => tell());
  }
}

function countLines(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte === 10) count += 1;
  return count;
}
