import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readSettings, refuseWeakSecrets, weaknessOf, withSecretFiles } from '../../../daemon/secrets.ts';
import { settingProblems } from '../../../daemon/settings.ts';
import { tempDir } from '../../support/temp-dir.ts';

let dir: ReturnType<typeof tempDir>;
beforeEach(() => {
  dir = tempDir('secrets');
});
afterEach(() => dir.remove());

function file(name: string, content: string, mode = 0o600): string {
  const path = join(dir.path, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

function problem(env: Record<string, string>): string {
  try {
    withSecretFiles(env);
  } catch (error) {
    expect(error).toMatchObject({ code: 'settings-invalid' });
    return error instanceof Error ? error.message : '';
  }
  return 'none';
}

/** What settles the one problem that there is. */
function fixOf(env: Record<string, string>): string | undefined {
  try {
    withSecretFiles(env);
  } catch (error) {
    return settingProblems(error)?.[0]?.fix;
  }
  return undefined;
}

describe('secrets from files', () => {
  test('that others can read are settled by the command that is named, whatever their path is', () => {
    const path = file("clé d'accès $(false)", 'the secret of tokens', 0o644);
    const fix = fixOf({ JWT_SECRET_FILE: path });
    execFileSync('sh', ['-c', fix ?? 'false']);
    expect(withSecretFiles({ JWT_SECRET_FILE: path })).toEqual({ JWT_SECRET: 'the secret of tokens' });
  });

  test('X_FILE fills X in, without the line’s end, and every other variable stays', () => {
    const env = { JWT_SECRET_FILE: file('jwt', 'the secret of tokens\n'), PORT: '0', TLS_KEY_FILE: '/none' };
    expect(withSecretFiles(env)).toEqual({
      JWT_SECRET: 'the secret of tokens',
      PORT: '0',
      TLS_KEY_FILE: '/none',
    });
    expect(readSettings(env).jwtSecret).toBe('the secret of tokens');
    expect(withSecretFiles({ API_KEY_FILE: '' })['API_KEY']).toBeUndefined();
  });

  test('systemd credentials are found under both names; the group may read them, as by systemd’s ACL', () => {
    file('api-key', 'from-a-credential', 0o440);
    file('REDIS_URL', 'redis://127.0.0.1:6379', 0o400);
    const filled = withSecretFiles({ CREDENTIALS_DIRECTORY: dir.path });
    expect(filled).toMatchObject({ API_KEY: 'from-a-credential', REDIS_URL: 'redis://127.0.0.1:6379' });
    const named = { CREDENTIALS_DIRECTORY: dir.path, API_KEY_FILE: join(dir.path, 'api-key') };
    expect(withSecretFiles(named)).toMatchObject({ API_KEY: 'from-a-credential' });
    rmSync(join(dir.path, 'api-key'));
    expect(withSecretFiles({ CREDENTIALS_DIRECTORY: dir.path })['API_KEY']).toBeUndefined();
  });

  test('given twice is an error that names both and shows neither', () => {
    const path = file('key', 'secret-in-the-file');
    const text = problem({ API_KEY: 'secret-in-the-variable', API_KEY_FILE: path });
    expect(text).toContain('API_KEY: given 2 times (API_KEY, API_KEY_FILE)');
    expect(text).not.toContain('secret-in');
    expect(fixOf({ API_KEY: 'secret-in-the-variable', API_KEY_FILE: path })).toBe('unset API_KEY');
    file('twilio-account-sid', 'AC0');
    expect(problem({ CREDENTIALS_DIRECTORY: dir.path, TWILIO_SID: 'AC1' })).toContain('TWILIO_SID');
  });

  test('a credentials folder that cannot be read is named', () => {
    const folder = join(dir.path, 'loop');
    symlinkSync(folder, folder);
    expect(problem({ CREDENTIALS_DIRECTORY: folder })).toMatch(/CREDENTIALS_DIRECTORY: .*ELOOP/);
  });

  test('a file that is missing, open to others, empty, too large or no file is refused, all in one message', () => {
    const folder = join(dir.path, 'folder');
    mkdirSync(folder);
    const text = problem({
      API_KEY_FILE: join(dir.path, 'missing'),
      JWT_SECRET_FILE: file('open', 'x', 0o640),
      REDIS_URL_FILE: file('empty', '\n'),
      TWILIO_AUTH_TOKEN_FILE: file('large', 'x'.repeat(5000)),
      FEDERATION_WEBHOOK_SECRET_FILE: folder,
    });
    expect(text).toMatch(/^5 settings are invalid:/);
    expect(text).toMatch(/API_KEY: API_KEY_FILE: cannot be read .*ENOENT/);
    expect(text).toMatch(/JWT_SECRET: .*mode 640.*chmod 600/);
    expect(text).toMatch(/REDIS_URL: .* is empty/);
    expect(text).toMatch(/TWILIO_AUTH_TOKEN: .* larger than/);
    expect(text).toMatch(/FEDERATION_WEBHOOK_SECRET: .* not a regular file/);
  });
});

const none = {
  host: '127.0.0.1',
  publicUrl: undefined,
  apiKey: undefined,
  jwtSecret: undefined,
  federationWebhookSecret: undefined,
};

describe('weak secrets', () => {
  test.each([
    'secret',
    'your-api-key',
    'short-8Fq2',
    '<a long random string>',
    '<random-string-of-more-than-24>',
    '${API_KEY_FROM_THE_ENVIRONMENT}',
    'changeme-changeme-changeme',
    'passwordpasswordpassword',
    'your-secret-api-key-changeme-please',
    'your_jwt_secret_key_here_replace_me',
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    'aB3dE5gH7aB3dE5gH7aB3dE5gH7aB',
    'abcdefghijklmnopqrstuvwxyz',
    '0123456789abcdefghijklmnopq',
  ])('%s', (secret) => {
    expect(weaknessOf(secret)).toBeDefined();
    for (const [name, setting] of [
      ['API_KEY', 'apiKey'],
      ['JWT_SECRET', 'jwtSecret'],
      ['FEDERATION_WEBHOOK_SECRET', 'federationWebhookSecret'],
      ['JWT_SECRET_PREVIOUS', 'jwtSecretPrevious'],
      ['FEDERATION_WEBHOOK_SECRET_PREVIOUS', 'federationWebhookSecretPrevious'],
    ] as const) {
      refuseWeakSecrets({ ...none, [setting]: secret });
      for (const where of [{ host: '0.0.0.0' }, { host: '::' }, { publicUrl: 'https://node.example.org' }]) {
        let text = '';
        try {
          refuseWeakSecrets({ ...none, ...where, [setting]: secret });
        } catch (error) {
          expect(error).toMatchObject({ code: 'settings-invalid' });
          text = error instanceof Error ? error.message : '';
        }
        expect(text).toMatch(new RegExp(`${name}: .*openssl rand -base64 32`));
        expect(text).not.toContain(secret);
      }
    }
  });

  test('what a program has made passes, in every usual form', () => {
    for (let n = 0; n < 2000; n++) {
      const bytes = randomBytes(32);
      for (const form of ['base64', 'base64url', 'hex'] as const)
        expect(weaknessOf(bytes.toString(form)), bytes.toString(form)).toBeUndefined();
      expect(weaknessOf(randomBytes(18).toString('base64'))).toBeUndefined();
    }
    refuseWeakSecrets({ ...none, host: '0.0.0.0', apiKey: randomBytes(32).toString('base64') });
    refuseWeakSecrets({ ...none, host: '0.0.0.0' });
  });
});
