import { fstatSync, write as writeFd, writeSync } from 'node:fs';
import { Socket } from 'node:net';

/** Bytes of log kept for a reader that has stopped reading, or a disk that is slow; beyond them lines are dropped, and the daemon goes on. */
const BACKLOG_BYTES = 8 * 1024 * 1024;
/** Between two tries at an output that failed: a disk that is full again and again costs a write a second. */
const AGAIN_MS = 1000;
/** A batch of one write. */
const BATCH_BYTES = 64 * 1024;

/** Where log lines go. It never throws, never waits, and never holds the process open beyond `close`. */
export interface LogSink {
  write(line: string): void;
  /** Lines that were not written because the output was full, gone or too slow. */
  dropped(): number;
  /** Resolves when all is out, or after `ms`; what then is left is dropped. */
  close(ms: number): Promise<void>;
  /** At the end of a process that did not close: writes what can be written at once. */
  flushNow(): void;
}

/** Takes some of the bytes and says how many; fails as `write(2)` does. */
export interface Output {
  write(bytes: Uint8Array, done: (error: Error | null, written: number) => void): void;
  /** The same at once, or not at all: throws as `write(2)` does, EAGAIN where it would have to wait. */
  writeNow(bytes: Uint8Array): number;
  destroy(): void;
}

export interface SinkOptions {
  /** Of a monotonic clock, milliseconds. */
  readonly now: () => number;
  /** The line that says how many were dropped, once there is room again. */
  readonly notice: (dropped: number) => string;
  readonly backlogBytes?: number;
}

/**
 * Lines to an output that may fail at any time: a full disk (ENOSPC), a reader that went away (EPIPE), a terminal that is gone (EIO).
 * pino's own stream keeps such an error to itself and then tries for ever at the exit. Here the lines are dropped and counted, the output is tried
 * again once a second, and the first thing that it takes is the line that says how many are lacking.
 */
export function createSink(
  output: Output,
  { now, notice, backlogBytes = BACKLOG_BYTES }: SinkOptions,
): LogSink {
  let lines: Buffer[] = [];
  let bytes = 0;
  let writing: Uint8Array | undefined;
  let dropped = 0;
  /** Of them, those that no notice has told of. */
  let untold = 0;
  /** What the notice in the batch under way says; untold again when that fails. */
  let telling = 0;
  let failedAt: number | undefined;
  /** A line of which the output took a part only: the next one begins on a line of its own. */
  let torn = false;
  let closed = false;
  const idle: (() => void)[] = [];

  function drop(count: number): void {
    dropped += count;
    untold += count;
  }
  function next(): Uint8Array | undefined {
    const batch: Buffer[] = [];
    if (untold > 0 && lines.length > 0) {
      batch.push(Buffer.from(`${torn ? '\n' : ''}${notice(untold)}`));
      telling = untold;
      untold = 0;
    }
    for (let size = 0; size < BATCH_BYTES;) {
      const line = lines.shift();
      if (line === undefined) break;
      bytes -= line.length;
      size += line.length;
      batch.push(line);
    }
    return batch.length === 0 ? undefined : Buffer.concat(batch);
  }
  function failed(rest: Uint8Array, started: boolean): void {
    failedAt = now();
    torn ||= started;
    // The notice is no line of anybody's; a batch that got a part of itself out may have got it out.
    const own = telling > 0 && !started ? 1 : 0;
    if (own > 0) untold += telling;
    telling = 0;
    drop(countLines(rest) - own + lines.length);
    lines = [];
    bytes = 0;
    writing = undefined;
    idle.splice(0).forEach((tell) => tell());
  }
  function pump(): void {
    if (writing !== undefined || closed) return;
    const batch = next();
    if (batch === undefined) {
      idle.splice(0).forEach((tell) => tell());
      return;
    }
    step(batch, false);
  }
  function step(rest: Uint8Array, started: boolean): void {
    writing = rest;
    output.write(rest, (error, written) => {
      if (closed) return;
      if (error !== null) {
        failed(rest, started);
        return;
      }
      failedAt = undefined;
      if (written < rest.length) step(rest.subarray(written), true);
      else {
        writing = undefined;
        telling = 0;
        torn = false;
        pump();
      }
    });
  }

  return {
    write(line) {
      const waits = failedAt !== undefined && now() - failedAt < AGAIN_MS;
      const buffer = Buffer.from(line);
      if (closed || waits || bytes + buffer.length > backlogBytes) {
        drop(1);
        return;
      }
      lines.push(buffer);
      bytes += buffer.length;
      pump();
    },
    dropped: () => dropped,
    flushNow() {
      if (closed) return;
      closed = true;
      try {
        for (let rest = next(); rest !== undefined; rest = next())
          while (rest.length > 0) rest = rest.subarray(output.writeNow(rest));
      } catch {
        drop(lines.length); // nobody can be told any more
      }
    },
    async close(ms) {
      if (closed) return;
      if (writing !== undefined || lines.length > 0) {
        let timer: NodeJS.Timeout | undefined;
        await new Promise<void>((resolve) => {
          timer = setTimeout(resolve, ms);
          idle.push(resolve);
          pump();
        });
        clearTimeout(timer);
      }
      closed = true;
      output.destroy();
    },
  };
}

function countLines(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte === 10) count += 1;
  return count;
}

/** A file descriptor as an output. Pipes and sockets are written without blocking a thread: their reader may have stopped reading. */
export function openOutput(fd: number): Output {
  const stat = fstatSync(fd);
  return stat.isFIFO() || stat.isSocket() ? pipeOutput(fd) : fileOutput(fd);
}

function fileOutput(fd: number): Output {
  return {
    write: (bytes, done) =>
      writeFd(fd, bytes, 0, bytes.length, null, (error, written) => done(error, written)),
    writeNow: (bytes) => writeSync(fd, bytes),
    destroy: () => undefined,
  };
}

function pipeOutput(fd: number): Output {
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on('error', () => undefined); // each write is told by its callback, and so are those after the end
  socket.unref();
  return {
    write: (bytes, done) => void socket.write(bytes, (error) => done(error ?? null, bytes.length)),
    writeNow: (bytes) => writeSync(fd, bytes), // the socket has made it non-blocking
    destroy: () => socket.destroy(),
  };
}
