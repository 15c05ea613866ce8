import { fstatSync, write as writeFd, writeSync } from 'node:fs';
import { Socket } from 'node:net';

/** Writes some of the bytes and returns how many; fails like `write(2)`. */
export interface Output {
  write(bytes: Uint8Array, done: (error: Error | null, written: number) => void): void;
  /** The same at once, or not at all: throws as `write(2)` does, EAGAIN where it would have to wait. */
  writeNow(bytes: Uint8Array): number;
  destroy(): void;
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
