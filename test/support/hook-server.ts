import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

/** A post as it came. */
export interface Posted {
  readonly delivery: string;
  readonly signed: boolean;
  readonly body: { readonly id: string; readonly type: string; readonly data: Record<string, unknown> };
}

/** A receiver of webhooks on loopback that refuses each delivery the first time. */
export async function hookServer(secret: string) {
  const posted: Posted[] = [];
  const seen = new Set<string>();
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => (text += part));
    request.on('end', () => {
      const delivery = String(request.headers['x-agrinet-delivery']);
      const isAgain = seen.has(delivery);
      seen.add(delivery);
      const [, t = '', v1] = /^t=(\d+),v1=(\w+)$/.exec(String(request.headers['x-agrinet-signature'])) ?? [];
      const signed = createHmac('sha256', secret).update(`${t}.${text}`).digest('hex') === v1;
      if (isAgain) posted.push({ delivery, signed, body: JSON.parse(text) as Posted['body'] });
      response.writeHead(isAgain ? 204 : 500).end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    posted,
    url: `http://127.0.0.1:${port}/hook`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
