import { expect, test } from 'vitest';
import { createLogger } from '../../../daemon/logger.ts';

test('no secret gets into a line, under any name it goes by', () => {
  const lines: string[] = [];
  const logger = createLogger({ logLevel: 'info' }, { write: (line) => void lines.push(line) });
  logger.info({ apiKey: 'hunter2', settings: { apiKey: 'hunter2', region: 'X' } }, 'settings');
  logger.info({ identity: { peerId: 'p', privateKeyRaw: 'hunter2', seed: 'hunter2' } }, 'identity');
  logger.info({ request: { headers: { 'x-api-key': 'hunter2', authorization: 'hunter2' } } }, 'request');
  logger.info({ headers: { 'x-api-key': 'hunter2' } }, 'headers');
  logger.debug('not at this level');
  expect(lines).toHaveLength(4);
  expect(lines.join('')).not.toContain('hunter2');
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    msg: 'settings',
    settings: { apiKey: '[secret]', region: 'X' },
  });
});
