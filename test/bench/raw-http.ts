import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** The answer to one request. */
export interface RawAnswer {
  status: number;
  body: Buffer;
}

/** One keep-alive HTTP/1.1 connection, one request at a time, with nothing in between: it must cost less than a server. */
export interface RawConnection {
  /** Whether it can no longer be used: a server may close one that is idle. */
  readonly isOver: boolean;
  /** Sends the bytes of one request (see `requestBytes`). Rejects when the connection ends first. */
  send(request: Buffer): Promise<RawAnswer>;
  close(): void;
}

/** The bytes of one request; a body is sent as JSON. */
export function requestBytes(
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: unknown,
): Buffer {
  const payload = body === undefined ? '' : JSON.stringify(body);
  const lines = [`${method} ${path} HTTP/1.1`, 'host: 127.0.0.1'];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  if (body !== undefined) {
    lines.push('content-type: application/json', `content-length: ${Buffer.byteLength(payload)}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${payload}`);
}

/** Opens a connection to a port on loopback. */
export async function openConnection(port: number): Promise<RawConnection> {
  const socket = connect(port, '127.0.0.1').setNoDelay();
  await once(socket, 'connect');
  return overSocket(socket);
}

function overSocket(socket: Socket): RawConnection {
  let received: Buffer = Buffer.alloc(0);
  let waiting: { resolve(answer: RawAnswer): void; reject(error: Error): void } | undefined;
  let ended: Error | undefined;
  const end = (error: Error): void => {
    ended ??= error;
    waiting?.reject(ended);
    waiting = undefined;
  };
  socket.on('error', end);
  socket.on('close', () => end(new Error('the server closed the connection')));
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const parsed = parseAnswer(received);
    if (parsed === undefined || waiting === undefined) return;
    received = received.subarray(parsed.bytes);
    const asked = waiting;
    waiting = undefined;
    asked.resolve(parsed.answer);
  });
  return {
    get isOver() {
      return ended !== undefined;
    },
    send(request) {
      if (ended !== undefined) return Promise.reject(ended);
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        socket.write(request);
      });
    },
    close: () => socket.destroy(),
  };
}

function parseAnswer(bytes: Buffer): { answer: RawAnswer; bytes: number } | undefined {
  const head = bytes.indexOf('\r\n\r\n');
  if (head < 0) return undefined;
  const header = bytes.toString('latin1', 0, head);
  const status = Number(header.slice(9, 12));
  const start = head + 4;
  const length = /\r\ncontent-length: *(\d+)/i.exec(header)?.[1];
  if (length !== undefined) {
    const end = start + Number(length);
    return bytes.length < end
      ? undefined
      : { answer: { status, body: bytes.subarray(start, end) }, bytes: end };
  }
  if (/\r\ntransfer-encoding: *chunked/i.test(header)) return parseChunks(bytes, start, status);
  return { answer: { status, body: Buffer.alloc(0) }, bytes: start };
}

function parseChunks(
  bytes: Buffer,
  start: number,
  status: number,
): { answer: RawAnswer; bytes: number } | undefined {
  const parts: Buffer[] = [];
  let at = start;
  for (;;) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
    const next = line + 2 + size + 2;
    if (Number.isNaN(size) || bytes.length < next) return undefined;
    if (size === 0) return { answer: { status, body: Buffer.concat(parts) }, bytes: next };
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = next;
  }
}
