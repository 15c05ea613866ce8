import { describe, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { decryptKeys, encryptKeys } from '../../../storage/backup/encrypted-keys.ts';

const keys = { 'identity.json': '{"seed": "a secret"}\n', 'api-key': 'another\n' };
const manifest = Buffer.from('a manifest');
const passphrase = 'lorry maize nine market scale';

describe('the keys in a backup', async () => {
  const sealed = await encryptKeys(keys, passphrase, manifest, systemEnv);
  const box = JSON.parse(Buffer.from(sealed).toString()) as Record<string, unknown>;
  const altered = (fields: object): Uint8Array => Buffer.from(JSON.stringify({ ...box, ...fields }));

  it('open with their passphrase, however its letters are composed, and show nothing without', async () => {
    expect(await decryptKeys(sealed, passphrase, manifest)).toEqual(keys);
    const composed = await encryptKeys(keys, 'caf\u00e9 caf\u00e9 caf\u00e9', manifest, systemEnv);
    expect(await decryptKeys(composed, 'cafe\u0301 cafe\u0301 cafe\u0301', manifest)).toEqual(keys);
    expect(Buffer.from(sealed).toString()).not.toMatch(/secret|another|identity/);
    expect(await encryptKeys(keys, passphrase, manifest, systemEnv)).not.toEqual(sealed);
  });

  it('do not open with another passphrase, beside another manifest, or altered', async () => {
    const wrong = { code: 'passphrase-wrong' };
    await expect(decryptKeys(sealed, `${passphrase} `, manifest)).rejects.toMatchObject(wrong);
    await expect(decryptKeys(sealed, passphrase, Buffer.from('another'))).rejects.toMatchObject(wrong);
    const tag = Buffer.from(String(box['tag']), 'base64');
    tag[3] = (tag[3] ?? 0) ^ 1;
    const forged = altered({ tag: tag.toString('base64') });
    await expect(decryptKeys(forged, passphrase, manifest)).rejects.toMatchObject(wrong);
    // The same data with less work for a guesser is not taken either.
    await expect(decryptKeys(altered({ N: 2 ** 15 }), passphrase, manifest)).rejects.toMatchObject(wrong);
  });

  it('never cost all memory, and are never cheap to guess', async () => {
    for (const fields of [
      { N: 2 ** 24 },
      { N: 2 ** 20, r: 64 },
      { N: 2 },
      { N: 100_000 },
      { p: 1000 },
      { r: 1 },
      { kdf: 'none' },
    ]) {
      const refused = decryptKeys(altered(fields), passphrase, manifest);
      await expect(refused, JSON.stringify(fields)).rejects.toMatchObject({ code: 'backup-damaged' });
    }
    for (const bytes of [Buffer.from('no JSON'), Buffer.from('{}'), altered({ more: 1 })])
      await expect(decryptKeys(bytes, passphrase, manifest)).rejects.toMatchObject({
        code: 'backup-damaged',
      });
  });
});
