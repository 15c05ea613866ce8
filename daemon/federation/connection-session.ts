import type { Socket } from 'node:net';
import type { Env } from '../../protocols/env.ts';

/** A connection that was checked: its address, and its certificate against `pin` or the system's CAs. */
export interface CheckedSocket {
  readonly socket: Socket;
  readonly tlsFingerprint: string;
}

/** Connections that one piece of work uses again. Whoever opened it closes it, and nothing stays open. */
export interface ConnectionSession {
  /** A free connection to this origin that was checked in just this way. */
  take(origin: string, pin: string | undefined): CheckedSocket | undefined;
  /** Notes a connection so that `close` ends it, and keeps it each time it becomes free. */
  add(origin: string, pin: string | undefined, connection: CheckedSocket): void;
  /** Ends all connections, those in use too; idempotent. */
  close(): void;
}

/** Milliseconds, shorter than servers keep an idle connection (node:http: 5 s), so that a connection is rarely reused while it is being closed. */
const IDLE_MS = 2000;

/** Opens a session. Another origin or another pin is another connection; what was idle too long is not used again. */
export function openSession(env: Pick<Env, 'after'>): ConnectionSession {
  const all = new Set<Socket>();
  const idle: { key: string; connection: CheckedSocket; leave: () => void }[] = [];
  let closed = false;
  const keyOf = (origin: string, pin = ''): string => `${origin} ${pin.toLowerCase()}`;

  function keep(key: string, connection: CheckedSocket): void {
    const { socket } = connection;
    // Nothing was asked, so whatever comes now, a byte or an end, is not an answer.
    const spoil = (): void => void socket.destroy();
    const timer = env.after(IDLE_MS, spoil);
    socket.on('data', spoil).on('end', spoil);
    const entry = {
      key,
      connection,
      leave: (): void => {
        timer.cancel();
        socket.off('data', spoil).off('end', spoil).off('close', entry.leave);
        const at = idle.indexOf(entry);
        if (at >= 0) idle.splice(at, 1);
      },
    };
    socket.once('close', entry.leave);
    idle.push(entry);
  }

  return {
    take(origin, pin) {
      const key = keyOf(origin, pin);
      for (const entry of idle.filter((each) => each.key === key)) {
        entry.leave();
        if (!entry.connection.socket.destroyed) return entry.connection;
      }
      return undefined;
    },
    add(origin, pin, connection) {
      const { socket } = connection;
      if (closed) {
        socket.destroy();
        return;
      }
      all.add(socket);
      // An idle connection may fail at any time; that it is closed then is all there is to do.
      socket.on('error', () => socket.destroy());
      socket.once('close', () => all.delete(socket));
      // node:http emits this when a response is read to its end and the connection is kept.
      socket.on('free', () => {
        if (closed) socket.destroy();
        else keep(keyOf(origin, pin), connection);
      });
    },
    close() {
      closed = true;
      for (const socket of all) socket.destroy();
    },
  };
}
