import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { STRETCH_MS, watchLoop } from '../../support/loop-watch.ts';
import { tempDir } from '../../support/temp-dir.ts';

/** Bodies that are small in bytes and large in number: of values, parts, parameters, lines, brackets. */
const dir = tempDir('many-values');
let node: TestNode;
beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});
async function ask(path: string, type: string, body: string): Promise<string> {
  const headers = { 'x-api-key': TEST_KEY, 'content-type': type };
  const answer = await node.app.request(path, { method: 'POST', headers, body });
  const { code = '' } = (await answer.json()) as { code?: string };
  return `${answer.status} ${code}`.trim();
}
/** The answer, after a first one that has everything compiled, and that none of it kept the loop for long. */
async function askShort(...what: Parameters<typeof ask>): Promise<string> {
  await ask(...what);
  const { result, cpuMs } = await watchLoop(() => ask(...what));
  expect(cpuMs).toBeLessThan(STRETCH_MS);
  return result;
}
const numbered = (count: number, each: (name: string) => string): string[] =>
  Array.from({ length: count }, (_, i) => each(i.toString(36)));
const parts = (count: number): string =>
  `${numbered(count, (name) => `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n\r\n`).join('')}--b--\r\n`;

describe('what is many', () => {
  it.each([
    ['names', () => `{"content":"x",${numbered(150_000, (name) => `"${name}":0`).join(',')}}`],
    ['arrays', () => `{"content":"x","a":[${'[],'.repeat(300_000)}0]}`],
  ])('%s in a message', async (_, body) => {
    expect(await askShort('/messages/nowhere', 'application/json', body())).toBe('413 body-too-large');
  });

  it.each(['/messages/nowhere', '/attachments'])('parts of a form for %s', async (path) => {
    for (const boundary of ['b', '"b"', 'b; charset=utf-8']) {
      const type = `multipart/form-data; boundary=${boundary}`;
      expect(await askShort(path, type, parts(18_000)), boundary).toBe('400 body-malformed');
      expect(await ask(path, type, parts(33))).toBe('400 body-malformed');
      expect(await ask(path, type, parts(32))).toBe('400 fields-invalid');
    }
  });

  it('parameters of an SMS, which a stranger posts', async () => {
    const form = numbered(45_000, (name) => `${name}=`).join('&');
    expect(await askShort('/sms/incoming', 'application/x-www-form-urlencoded', form)).toBe(
      '400 body-malformed',
    );
  });

  it('brackets in a row of an import: it is refused by its line, and the others are taken', async () => {
    const deep = `{"a":${'['.repeat(8000)}${']'.repeat(8000)}}`;
    const price = {
      date: '2026-10-15',
      market: 'Kisumu',
      commodity: 'Maize',
      unit: 'KG',
      priceType: 'Retail',
      currency: 'KES',
      price: 55,
      source: 'x',
    };
    const answer = await node.app.request('/prices', {
      method: 'POST',
      headers: { 'x-api-key': TEST_KEY, 'content-type': 'application/x-ndjson' },
      body: [deep, JSON.stringify(price), deep].join('\n'),
    });
    const error = 'the line is nested more than 32 levels deep';
    expect(await answer.json()).toMatchObject({
      created: 1,
      refused: [
        { line: 1, error },
        { line: 3, error },
      ],
    });
  });
});
