import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How often what happens to a request, of all of them: 0 to 1. */
export interface Faults {
  /** `ProvisionedThroughputExceededException`, nothing done. */
  readonly throttle: number;
  /** The connection is cut before anything was done. */
  readonly drop: number;
  /** Done, and the connection is cut in place of the answer. */
  readonly cutAfter: number;
  /** Done, and never answered. */
  readonly silentAfter: number;
  /** Done only long after the client has given up. */
  readonly late: number;
  /** Held back for up to `delayMs`, so that others overtake it. */
  readonly delay: number;
  readonly delayMs: number;
}

export const ALL_FAULTS: Faults = {
  throttle: 0.08,
  drop: 0.04,
  cutAfter: 0.04,
  silentAfter: 0.01,
  late: 0.06,
  delay: 0.3,
  delayMs: 60,
};

/** A proxy before a DynamoDB that does to writes what networks and AWS do, by a seed; and that can be away altogether. */
export interface FaultyProxy {
  readonly url: string;
  /** What happened, by kind. */
  readonly told: Readonly<Record<string, number>>;
  /** While away, connections are cut as they come. */
  setAway(away: boolean): void;
  setFaults(faults: Faults | undefined): void;
  /** Nothing is held back any more. */
  idle(): boolean;
  close(): Promise<void>;
}

const WRITES = /\.(PutItem|DeleteItem|UpdateItem|GetItem)$/;

/** `lateMs`: how long a late request is held back, half of it more or less; longer than the client waits. */
export async function startFaultyProxy(
  target: string,
  random: () => number,
  { lateMs = 3500 } = {},
): Promise<FaultyProxy> {
  const told: Record<string, number> = {};
  let faults: Faults | undefined;
  let away = false;
  let held = 0;
  const timers = new Set<NodeJS.Timeout>();
  const note = (what: string): void => void (told[what] = (told[what] ?? 0) + 1);

  function later(ms: number, work: () => void): void {
    held++;
    const timer = setTimeout(() => {
      timers.delete(timer);
      held--;
      work();
    }, ms);
    timers.add(timer);
  }

  function forward(
    incoming: IncomingMessage,
    body: Buffer,
    answer: (reply: IncomingMessage, text: Buffer) => void,
    failed: () => void,
  ): void {
    held++;
    const outgoing = request(
      target,
      {
        method: incoming.method ?? 'POST',
        path: incoming.url ?? '/',
        headers: { ...incoming.headers, 'content-length': body.length },
      },
      (reply) => {
        const chunks: Buffer[] = [];
        reply.on('data', (chunk: Buffer) => chunks.push(chunk));
        reply.on('end', () => {
          held--;
          answer(reply, Buffer.concat(chunks));
        });
      },
    );
    outgoing.on('error', () => {
      held--;
      failed();
    });
    outgoing.end(body);
  }

  function handle(incoming: IncomingMessage, response: ServerResponse, body: Buffer): void {
    const cut = (): void => void incoming.socket.destroy();
    const pass = (): void =>
      forward(
        incoming,
        body,
        (reply, text) => response.writeHead(reply.statusCode ?? 500, reply.headers).end(text),
        cut,
      );
    if (faults === undefined || !WRITES.test(String(incoming.headers['x-amz-target']))) return pass();
    const { throttle, drop, cutAfter, silentAfter, late, delay, delayMs } = faults;
    let draw = random();
    const falls = (share: number): boolean => {
      draw -= share;
      return draw < 0;
    };
    const nothing = (): void => undefined;
    if (falls(throttle)) {
      note('throttled');
      response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' });
      response.end(
        JSON.stringify({
          __type: 'com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException',
          message: 'The level of configured provisioned throughput for the table was exceeded.',
        }),
      );
    } else if (falls(drop)) {
      note('dropped');
      cut();
    } else if (falls(cutAfter)) {
      note('cut after success');
      forward(incoming, body, cut, cut);
    } else if (falls(silentAfter)) {
      note('silent after success');
      forward(incoming, body, nothing, nothing);
    } else if (falls(late)) {
      note('late');
      later(lateMs * (0.5 + random()), () => forward(incoming, body, nothing, nothing));
    } else if (falls(delay)) {
      note('delayed');
      later(random() * delayMs, pass);
    } else pass();
  }

  const server = createServer((incoming, response) => {
    if (away) {
      note('refused');
      incoming.socket.destroy();
      return;
    }
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => handle(incoming, response, Buffer.concat(chunks)));
    incoming.on('error', () => undefined); // the client went away
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return {
    url: `http://127.0.0.1:${port}`,
    told,
    setAway(next) {
      away = next;
      if (away) server.closeAllConnections();
    },
    setFaults: (next) => void (faults = next),
    idle: () => held === 0,
    async close() {
      for (const timer of timers) clearTimeout(timer);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
