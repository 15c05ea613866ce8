import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { AgrinetError, errorMessage } from '../protocols/errors.ts';
import {
  isLoopbackHost,
  loadSettings,
  type SettingProblem,
  type Settings,
  settingsInvalid,
} from './settings.ts';
import { type Definition, SETTINGS } from './settings-table.ts';
import { shellWord } from './setting-values.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Far above any secret; a larger file is not one. */
const MAX_BYTES = 4096;
const MIN_CHARS = 24;
const MIN_KINDS = 8;
const MAKE_ONE = 'Make one with: openssl rand -base64 32';

const definitions: readonly Definition[] = Object.values(SETTINGS);
const secretSettings = definitions.filter(({ secret }) => secret === true);

/** A file with a secret, and the variable or credential that names it. */
interface SecretFile {
  readonly from: string;
  readonly path: string;
}

/**
 * The environment with secrets from files filled in: for each secret setting X the file that `X_FILE` names, or the systemd credential
 * `$CREDENTIALS_DIRECTORY/X` (or `x-in-lower-case`). Throws `settings-invalid`, one line for each that is given twice, cannot be
 * read, is empty, or can be read by others. No message repeats a secret. A blank credential counts as not given, as a blank variable
 * does: it is what the units put in place of a file that is not there (SetCredential).
 */
export function withSecretFiles(env: Environment): Record<string, string | undefined> {
  const filled: Record<string, string | undefined> = { ...env };
  const problems: SettingProblem[] = [];
  const folder = env['CREDENTIALS_DIRECTORY'] || undefined;
  for (const { env: name, aliases = [] } of secretSettings) {
    const sources: SecretFile[] = [];
    const named = env[`${name}_FILE`]?.trim() || undefined;
    if (named !== undefined) sources.push({ from: `${name}_FILE`, path: resolve(named) });
    for (const file of folder === undefined ? [] : [name, name.toLowerCase().replaceAll('_', '-')]) {
      const path = join(folder ?? '', file);
      if (exists(path) && !isBlank(path) && !sources.some((each) => each.path === path))
        sources.push({ from: `the credential ${file}`, path });
    }
    const [source] = sources;
    if (source === undefined) continue;
    const plain = [name, ...aliases].filter((each) => (env[each]?.trim() ?? '') !== '');
    const given = [...plain, ...sources.map(({ from }) => from)];
    if (given.length > 1) {
      const line = `${name}: given ${given.length} times (${given.join(', ')}). Keep one of them.`;
      problems.push({ setting: name, line, fix: withoutAllBut(sources.at(-1), plain, sources) });
      continue;
    }
    const read = readSecret(source.path, folder);
    if ('problem' in read)
      problems.push({ setting: name, line: `${name}: ${source.from}: ${read.problem}`, fix: read.fix });
    else filled[name] = read.secret;
    delete filled[`${name}_FILE`];
  }
  if (problems.length > 0) throw settingsInvalid(problems);
  return filled;
}

/** The settings of this process, secrets from files among them. Throws `settings-invalid`. */
export function readSettings(env: Environment = process.env): Settings {
  return loadSettings(withSecretFiles(env));
}

/**
 * Refuses secrets that can be guessed on a node that others can reach: HOST or PUBLIC_URL is not loopback. Throws `settings-invalid`
 * with a line for each.
 */
export function refuseWeakSecrets(
  settings: Pick<Settings, 'host' | 'publicUrl' | 'apiKey' | 'jwtSecret' | 'federationWebhookSecret'> &
    PreviousSettings,
): void {
  const url = settings.publicUrl === undefined ? undefined : URL.parse(settings.publicUrl);
  if (isLoopbackHost(settings.host) && (url === undefined || url === null || isLoopbackHost(url.hostname)))
    return;
  const secrets = {
    API_KEY: settings.apiKey,
    JWT_SECRET: settings.jwtSecret,
    FEDERATION_WEBHOOK_SECRET: settings.federationWebhookSecret,
    JWT_SECRET_PREVIOUS: settings.jwtSecretPrevious,
    FEDERATION_WEBHOOK_SECRET_PREVIOUS: settings.federationWebhookSecretPrevious,
  };
  const problems = Object.entries(secrets).flatMap(([name, secret]): SettingProblem[] => {
    const weakness = secret === undefined ? undefined : weaknessOf(secret);
    return weakness === undefined
      ? []
      : [
          {
            setting: name,
            line: `${name}: ${weakness}; too weak for a node that others can reach. ${MAKE_ONE}`,
            fix: `${name}=$(openssl rand -base64 32)`,
          },
        ];
  });
  if (problems.length > 0) throw settingsInvalid(problems);
}

/** Words of examples and defaults, longest first: the rest of a secret without them has to be long enough by itself. */
const WELL_KNOWN =
  /replacethis|replaceme|changethis|changeme|placeholder|development|randomstring|your|password|passwort|agrinet|default|example|webhook|secret|apikey|random|string|federation|letmein|qwerty|admin|token|test|demo|jwt|key/g;

/** Why a secret can be guessed, or undefined. */
export function weaknessOf(secret: string): string | undefined {
  if (/^[<${[].*[>}\]]$/.test(secret)) return 'it is the placeholder of an example';
  if (secret.length < MIN_CHARS) return `it is shorter than ${MIN_CHARS} characters`;
  if (new Set(secret).size < MIN_KINDS) return `it has fewer than ${MIN_KINDS} different characters`;
  if (isRepetition(secret)) return 'it repeats itself';
  const left = secret
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '')
    .replace(WELL_KNOWN, '');
  if (left.length < MIN_CHARS / 2) return 'it is made of well-known words';
  let steps = 0;
  for (let at = 1; at < secret.length; at++)
    if (Math.abs(secret.charCodeAt(at) - secret.charCodeAt(at - 1)) <= 1) steps += 1;
  return steps > secret.length / 2 ? 'its characters follow one another' : undefined;
}

/** Whether the whole is a repetition of some unit of at most 16 characters, the last perhaps incomplete. */
function isRepetition(secret: string): boolean {
  for (let unit = 1; unit <= 16 && unit * 2 <= secret.length; unit++)
    if (secret.slice(unit) === secret.slice(0, -unit)) return true;
  return false;
}

/** Takes away what is given beside the file that is kept: a variable does less for a secret than a file of its own. */
function withoutAllBut(
  kept: SecretFile | undefined,
  variables: readonly string[],
  files: readonly SecretFile[],
): string {
  const others = files.filter((each) => each !== kept);
  const named = [...variables, ...others.flatMap(({ from }) => (from.endsWith('_FILE') ? [from] : []))];
  const credentials = others.flatMap(({ from, path }) => (from.endsWith('_FILE') ? [] : [shellWord(path)]));
  return [
    ...(named.length > 0 ? [`unset ${named.join(' ')}`] : []),
    ...(credentials.length > 0 ? [`rm ${credentials.join(' ')}`] : []),
  ].join('; ');
}

function readSecret(
  path: string,
  credentials: string | undefined,
): { readonly secret: string } | { readonly problem: string; readonly fix: string } {
  const shown = shellWord(path);
  const write = `(umask 077; cat > ${shown})`;
  try {
    const stats = statSync(path);
    if (!stats.isFile())
      return {
        problem: `${path} is not a regular file. Name a file with the secret.`,
        fix: `ls -ld ${shown}`,
      };
    // systemd lets the service read a credential by an ACL, which shows as a right of the group.
    const open = credentials !== undefined && dirname(path) === resolve(credentials) ? 0o037 : 0o077;
    if ((stats.mode & open) !== 0 && process.platform !== 'win32') {
      const mode = (stats.mode & 0o777).toString(8);
      const fix = `chmod 600 ${shown}`;
      return { problem: `${path} can be read or changed by others (mode ${mode}). Run: ${fix}`, fix };
    }
    if (stats.size > MAX_BYTES)
      return {
        problem: `${path} is larger than ${MAX_BYTES} bytes: no secret. Name a file with the secret.`,
        fix: write,
      };
    const secret = readFileSync(path, 'utf8').trim();
    return secret === ''
      ? { problem: `${path} is empty. Write the secret into it.`, fix: write }
      : { secret };
  } catch (error) {
    return {
      problem: `cannot be read (${errorMessage(error)}). Give this user read access, or unset it.`,
      fix: `ls -ld ${shown}`,
    };
  }
}

function exists(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    const advice = 'Give this user read access to the folder, or unset it.';
    const setting = 'CREDENTIALS_DIRECTORY';
    const line = `${setting}: cannot be read (${errorMessage(error)}). ${advice}`;
    throw settingsInvalid([{ setting, line, fix: `unset ${setting}` }]);
  }
}

/** Whether a credential holds nothing; one that cannot be read is for `readSecret` to report. */
function isBlank(path: string): boolean {
  try {
    const { size } = statSync(path);
    return size === 0 || (size <= MAX_BYTES && readFileSync(path, 'utf8').trim() === '');
  } catch {
    return false;
  }
}

/** A secret that was replaced, and until when it is still good, milliseconds since 1970. */
export interface PreviousSecret {
  readonly secret: string;
  readonly until: number;
}

/** The settings that it is read from. */
export type PreviousSettings = Partial<
  Pick<Settings, 'jwtSecretPrevious' | 'federationWebhookSecretPrevious' | 'previousSecretsUntil'>
>;

const NAMES = {
  jwtSecretPrevious: 'JWT_SECRET_PREVIOUS',
  federationWebhookSecretPrevious: 'FEDERATION_WEBHOOK_SECRET_PREVIOUS',
} as const;

/**
 * The secret before the one that is set, with the end of its grace time; undefined without one. Throws `settings-invalid` for one without an
 * end: it would be good for ever, as whoever stole it expects.
 */
export function previousSecret(
  settings: PreviousSettings,
  which: keyof typeof NAMES,
): PreviousSecret | undefined {
  return withEnd(settings[which], NAMES[which], settings.previousSecretsUntil);
}

/** The same of a secret that stands elsewhere, by its name. */
export function withEnd(
  secret: string | undefined,
  name: string,
  until: number | undefined,
): PreviousSecret | undefined {
  if (secret === undefined) return undefined;
  if (until !== undefined) return { secret, until };
  throw new AgrinetError(
    'settings-invalid',
    `PREVIOUS_SECRETS_UNTIL: not set, so ${name} would be accepted for ever. Set it to the end of the grace time, for example 2026-12-31T00:00Z.`,
  );
}
