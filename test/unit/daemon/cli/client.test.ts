import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exitCodeFor } from '../../../../daemon/exit-codes.ts';
import { agrinetHere } from '../../../support/cli.ts';
import { tempDir } from '../../../support/temp-dir.ts';

/** Begins every answer as a daemon does, and is gone in the middle of it. */
let server: Server;
let url = '';
const dir = tempDir('client');
beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'x-agrinet-version': 'test', 'content-type': 'application/json' });
      response.write('{"done":1,"total":2,"created":1,"unchanged":0,"refused":[]}\n', () =>
        response.destroy(),
      );
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  writeFileSync(join(dir.path, 'listings.csv'), 'title,user\nMaize,mary\n');
});
afterAll(async () => {
  server.close();
  await once(server, 'close');
  dir.remove();
});

test.each([
  ['import', join(dir.path, 'listings.csv')],
  ['scrub'],
  ['users'],
  ['wants', '--user', 'amina'],
  ['export-feed', join(dir.path, 'feeds')],
])('agrinet %j says in one line that the daemon went away in the middle of its answer', async (...words) => {
  const { code, stderr } = await agrinetHere({ url, apiKey: 'a-key-of-this-test' }, words);
  expect(stderr).toMatch(
    /^agrinet: The daemon at .* closed the connection before .* run the command again\.\n$/,
  );
  expect(code).toBe(exitCodeFor('daemon-not-running'));
});
