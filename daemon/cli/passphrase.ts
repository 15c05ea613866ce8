import { Writable } from 'node:stream';
import { createInterface } from 'node:readline/promises';
import { AgrinetError } from '../../protocols/errors.ts';
import { readSecretFile } from '../secret-file.ts';
import { weaknessOf } from '../secrets.ts';

export interface PassphraseSources {
  /** `--passphrase-file`. */
  readonly file?: string | undefined;
  /** BACKUP_PASSPHRASE, or the file or credential of that name. */
  readonly setting: string | undefined;
  /** What it encrypts, for the prompt. */
  readonly what?: string;
}

/** A passphrase for new keys: from a file, the setting, or twice from the terminal. Throws `usage`, also for one that can be guessed. */
export async function newPassphrase(sources: PassphraseSources): Promise<string> {
  const given = await givenPassphrase(sources);
  const passphrase = given ?? (await ask(`Passphrase for the ${sources.what ?? 'keys in the backup'}: `));
  const weakness = weaknessOf(passphrase);
  if (weakness !== undefined)
    throw new AgrinetError(
      'usage',
      `the passphrase is too weak: ${weakness}. Use six random words, or: openssl rand -base64 32`,
    );
  if (given === undefined && (await ask('Repeat the passphrase: ')) !== passphrase)
    throw new AgrinetError('usage', 'the passphrases do not match. Run the command again.');
  return passphrase;
}

/** The passphrase of keys that are there. Throws `usage`. */
export async function knownPassphrase(sources: PassphraseSources): Promise<string> {
  return (
    (await givenPassphrase(sources)) ?? ask(`Passphrase of the ${sources.what ?? 'keys in the backup'}: `)
  );
}

async function givenPassphrase({ file, setting }: PassphraseSources): Promise<string | undefined> {
  if (file === undefined) return setting;
  const text = (await readSecretFile(file, 'usage'))?.trim();
  if (text === undefined || text === '')
    throw new AgrinetError('usage', `${file} does not contain a passphrase. Write it there (chmod 600).`);
  return text;
}

/** A line from the terminal that does not show. */
async function ask(prompt: string): Promise<string> {
  if (process.stdin.isTTY !== true)
    throw new AgrinetError(
      'usage',
      'there is no terminal to ask for the passphrase on. Use --passphrase-file or set BACKUP_PASSPHRASE.',
    );
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: unseen, terminal: true });
  const gone = new AbortController();
  lines.once('SIGINT', () => gone.abort());
  lines.once('close', () => gone.abort());
  process.stderr.write(prompt);
  try {
    return (await lines.question('', { signal: gone.signal })).trim();
  } catch (error) {
    throw new AgrinetError('usage', 'no passphrase was entered.', { cause: error });
  } finally {
    process.stderr.write('\n');
    lines.close();
  }
}
