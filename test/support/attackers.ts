/**
 * Slow and deaf clients, in a process of their own so that what they cost is not counted as the daemon's:
 * `PORT=… API_KEY=… SLOW=150 DEAF=100 node test/support/attackers.ts`. Prints `open` when all are connected and stays until killed.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const port = Number(process.env['PORT']);
const key = process.env['API_KEY'] ?? '';
/** Streams of one address: as many as the node allows. */
const PER_ADDRESS = 20;

/** A connection that sends `head` and never reads, or nothing after the first bytes. */
async function begin(head: string, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => undefined); // being closed is what it is for
  await once(socket, 'connect');
  socket.pause();
  socket.write(head);
  return socket;
}

/** Sends `more` twice a second. */
async function slow(head: string, more = ''): Promise<void> {
  const socket = await begin(head);
  if (more === '') return;
  const timer = setInterval(() => socket.writable && socket.write(more), 500);
  socket.once('close', () => clearInterval(timer));
}

/** Sees that it is served a stream, and then reads nothing of it. */
async function deaf(localAddress: string): Promise<void> {
  const socket = await begin('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n', localAddress);
  const first = once(socket, 'data');
  socket.resume();
  const answer = String((await first)[0]);
  socket.pause();
  socket.removeAllListeners('data');
  if (!answer.startsWith('HTTP/1.1 200')) throw new Error(`no stream: ${answer}`);
}

const kinds: [head: string, more?: string][] = [
  ['GET /listings HTTP/1.1\r\nHost: localhost\r\n', 'X-More: and more\r\n'],
  [
    `POST /listings HTTP/1.1\r\nHost: localhost\r\nx-api-key: ${key}\r\ncontent-type: application/json\r\ncontent-length: 4096\r\n\r\n{`,
    ' ',
  ],
  ['GET /federation/export HTTP/1.1\r\nHost: localhost\r\n\r\n'],
];
for (let i = 0; i < Number(process.env['SLOW']); i++) {
  const [head, more] = kinds[i % kinds.length] ?? [''];
  await slow(head, more);
}
for (let i = 0; i < Number(process.env['DEAF']); i++)
  await deaf(`127.0.0.${2 + Math.floor(i / PER_ADDRESS)}`);
process.stdout.write('open\n');
// The deaf ones stay for as long as the node lets them.
setInterval(() => undefined, 60_000);
