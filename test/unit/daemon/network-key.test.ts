import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readNetworkKey } from '../../../daemon/network-key.ts';
import { tempDir } from '../../support/temp-dir.ts';

const dir = tempDir('network-key');
afterAll(() => dir.remove());
const file = join(dir.path, 'swarm.key');
const HEAD = '/key/swarm/psk/1.0.0/\n/base16/\n';

it.each([
  ['with a line end', `${HEAD}${'a1'.repeat(32)}\n`],
  ['without one', `${HEAD}${'A1'.repeat(32)}`],
  ['from Windows', `${HEAD}${'0f'.repeat(32)}\n`.replaceAll('\n', '\r\n')],
])('takes a key %s', async (_, text) => {
  writeFileSync(file, text);
  expect(Buffer.from(await readNetworkKey(file)).toString()).toBe(text);
});

it.each([
  ['nothing', ''],
  ['rubbish', 'rubbish\n'],
  ['the key alone', 'a1'.repeat(32)],
  ['too few digits', `${HEAD}${'a1'.repeat(31)}\n`],
  ['too many', `${HEAD}${'a1'.repeat(33)}\n`],
  ['no digits', `${HEAD}${'zz'.repeat(32)}\n`],
  ['an encoding that libp2p does not read', `/key/swarm/psk/1.0.0/\n/base64/\n${'a1'.repeat(32)}\n`],
  ['two keys', `${HEAD}${'a1'.repeat(32)}\n${'b2'.repeat(32)}\n`],
  ['a large file', `${HEAD}${'a1'.repeat(32)}${' '.repeat(2000)}`],
])('names the setting and what is expected for %s', async (_, text) => {
  writeFileSync(file, text);
  await expect(readNetworkKey(file)).rejects.toMatchObject({
    code: 'settings-invalid',
    message: expect.stringMatching(/^MYCELIUM_PSK_FILE: .*swarm\.key is no pre-shared key/),
  });
});

it('names a file that is not there, and a folder', async () => {
  for (const path of [join(dir.path, 'none'), join(dir.path, 'folder')]) {
    if (path.endsWith('folder')) mkdirSync(path);
    await expect(readNetworkKey(path)).rejects.toMatchObject({
      code: 'settings-invalid',
      message: expect.stringContaining('cannot be read'),
    });
  }
});
