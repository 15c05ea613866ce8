import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { type Served, serveNode } from '../../support/served-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

/** Text in another encoding is kept nowhere, and never signed, with its letters lost: whichever way it comes in. */
const dir = tempDir('not-utf8');
let node: TestNode;
let served: Served;
beforeAll(async () => {
  node = await startNode(dir.path);
  served = await serveNode(node);
});
afterAll(async () => {
  served.close();
  await node.stop();
  dir.remove();
});

const latin1 = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text, 'latin1'));
const send = (path: string, type: string, body: Uint8Array<ArrayBuffer>): Promise<Response> =>
  fetch(`${served.url}${path}`, {
    method: 'POST',
    headers: { 'x-api-key': TEST_KEY, 'content-type': type },
    body,
  });
async function titles(): Promise<unknown[]> {
  const answer = await node.app.request('/listings?limit=200');
  return ((await answer.json()) as { listings: { title: string }[] }).listings.map(({ title }) => title);
}

describe('lines of JSON', () => {
  const row = (title: string): string => JSON.stringify({ kind: 'listing', type: 'offer', title });
  const lines = (...rows: Uint8Array[]) =>
    new Uint8Array(Buffer.concat(rows.flatMap((each) => [each, Buffer.from('\n')])));
  const LOST = 'the line is not UTF-8; send it as UTF-8';

  it('that are not UTF-8 are refused by their number, and the others are taken', async () => {
    const body = lines(
      Buffer.from(row('Café 1')),
      latin1(row('Café 2')),
      Buffer.from(row('Sent as \uFFFD')),
      latin1(row('Mombása 4')),
      Buffer.from(row('Café 5')),
    );
    const answer = (await (await send('/import', 'application/x-ndjson', body)).text()).trim().split('\n');
    const refused = answer.flatMap((each) => {
      const { refused } = JSON.parse(each) as { refused: number | object[] };
      return typeof refused === 'number' ? [] : refused;
    });
    expect(refused).toEqual([2, 4].map((line) => ({ line, error: LOST })));
    expect(JSON.parse(answer.at(-1) ?? '')).toMatchObject({ finished: true, created: 3, refused: 2 });
    expect((await titles()).toSorted()).toEqual(['Café 1', 'Café 5', 'Sent as \uFFFD']);
  });

  it('so are prices', async () => {
    const price = (market: string): string =>
      JSON.stringify({
        date: '2026-10-15',
        market,
        commodity: 'Maize',
        unit: 'KG',
        priceType: 'Retail',
        currency: 'KES',
        price: 55,
        source: 'x',
      });
    const body = lines(latin1(price('Mombása')), Buffer.from(price('Mombása')), latin1('\xff\xfe'));
    const answer = await send('/prices', 'application/x-ndjson', body);
    expect(await answer.json()).toMatchObject({
      created: 1,
      refused: [1, 3].map((line) => ({ line, error: LOST })),
    });
  });
});

describe('forms', () => {
  const part = (name: string, text: string): string =>
    `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`;
  const file = (name: string): string =>
    `--b\r\ncontent-disposition: form-data; name="file"; filename="${name}"\r\ncontent-type: text/plain\r\n\r\n\xe9\x00\xff\r\n`;
  const conversation = async (): Promise<string> => {
    const made = await node.request('POST', '/conversations', {
      title: 'x',
      participants: ['amina', 'baraka'],
    });
    return ((await made.json()) as { id: string }).id;
  };
  const utf8 = (text: string): string => Buffer.from(text).toString('latin1');

  it.each([
    ['a text', part('from', 'amina') + part('content', 'Café') + file('a.txt')],
    ['the name of a file', part('from', 'amina') + part('content', 'Cafe') + file('café.txt')],
  ])('of which %s is not UTF-8 are refused', async (_, parts) => {
    const id = await conversation();
    const answer = await send(
      `/messages/${id}`,
      'multipart/form-data; boundary=b',
      latin1(`${parts}--b--\r\n`),
    );
    expect([answer.status, await answer.json()]).toEqual([
      400,
      expect.objectContaining({ code: 'body-malformed' }),
    ]);
  });

  it('with a file of any bytes, and U+FFFD that was sent, are taken', async () => {
    const id = await conversation();
    const body = part('from', 'amina') + part('content', utf8('Café \uFFFD')) + file(utf8('café.txt'));
    const answer = await send(
      `/messages/${id}`,
      'multipart/form-data; boundary=b',
      latin1(`${body}--b--\r\n`),
    );
    expect([answer.status, await answer.text()]).toEqual([
      201,
      expect.stringContaining('"content":"Café \uFFFD"'),
    ]);
  });

  it('of SMS are refused before anything is looked at in them', async () => {
    const answer = await send(
      '/sms/incoming',
      'application/x-www-form-urlencoded',
      latin1('Body=Caf%E9&From=%2B2'),
    );
    expect([answer.status, await answer.json()]).toEqual([
      400,
      expect.objectContaining({ code: 'body-malformed' }),
    ]);
  });
});

describe('a request target', () => {
  async function asked(target: string): Promise<{ status: number; body: string }> {
    const socket = connect(served.port, '127.0.0.1');
    let answer = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
    socket.write(latin1(`GET ${target} HTTP/1.0\r\n\r\n`));
    await once(socket, 'close', { signal: AbortSignal.timeout(5000) });
    return {
      status: Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]),
      body: answer.split('\r\n\r\n')[1] ?? '',
    };
  }
  it.each(['/listings?region=M%FCnster', '/listings?region=%', '/listings/M%FCnster', '/trust/a%E9@b'])(
    '%s is refused',
    async (target) => {
      const { status, body } = await asked(target);
      expect([status, body]).toEqual([400, expect.stringContaining('"code":"query-invalid"')]);
    },
  );

  it('with letters as bytes is refused with what to do, UTF-8 or not', async () => {
    for (const target of [
      '/listings?region=M\xfcnster',
      `/listings/${Buffer.from('Mūrang’a').toString('latin1')}`,
    ]) {
      const { status, body } = await asked(target);
      expect([status, body]).toEqual([400, expect.stringContaining('percent-encode')]);
    }
  });
});
