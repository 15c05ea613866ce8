import type { TwilioAccount } from './sms/account.ts';
import { isIP } from 'node:net';
import type { z } from 'zod';
import { AgrinetError } from '../protocols/errors.ts';
import { editDistance } from './edit-distance.ts';
import { type Definition, SETTINGS } from './settings-table.ts';
import { shellWord } from './setting-values.ts';

type Table = typeof SETTINGS;
type Value<D extends Definition> = D extends { fallback: string }
  ? z.output<D['schema']>
  : z.output<D['schema']> | undefined;

/** The checked settings, by camelCase name. */
export type Settings = {
  readonly [K in keyof Table]: K extends 'myceliumHost' ? string : Value<Table[K]>;
};

type Environment = Readonly<Record<string, string | undefined>>;
/** Names of others that look like ours: OpenSSL's own. */
const FOREIGN: ReadonlySet<string> = new Set(['SSL_CERT_FILE', 'SSL_CERT_DIR']);
const definitions: readonly (readonly [string, Definition])[] = Object.entries(SETTINGS);

/** What is wrong with one setting. */
export interface SettingProblem {
  readonly setting: string;
  /** One line: what was wrong and what to do. */
  readonly line: string;
  /** What settles it, as a shell has it: an assignment, `unset`, or a command. */
  readonly fix: string;
}

/** The error `settings-invalid`: a line for each problem, and for each hint that goes with them. */
export function settingsInvalid(
  problems: readonly SettingProblem[],
  hints: readonly string[] = [],
): AgrinetError {
  const title =
    problems.length === 1 ? 'One setting is invalid:' : `${problems.length} settings are invalid:`;
  const lines = [...problems.map(({ line }) => line), ...hints];
  return new AgrinetError('settings-invalid', [title, ...lines.map((each) => `  ${each}`)].join('\n'), {
    details: { problems },
  });
}

/** The problems of a `settings-invalid`; of another error it is undefined. */
export function settingProblems(error: unknown): readonly SettingProblem[] | undefined {
  if (!(error instanceof AgrinetError) || error.code !== 'settings-invalid') return undefined;
  const { problems } = error.details;
  // Errors of this code have them from `settingsInvalid`, or have but their message, which begins with the setting.
  if (Array.isArray(problems)) return problems as SettingProblem[];
  const [setting = ''] = error.message.split(':');
  return [{ setting, line: error.message, fix: `unset ${setting}` }];
}

/** Reads the settings; throws `settings-invalid` with one line for each problem there is. */
export function loadSettings(env: Environment): Settings {
  const values: Record<string, unknown> = {};
  const problems: SettingProblem[] = [];
  for (const [name, definition] of definitions) {
    const given = [definition.env, ...(definition.aliases ?? [])]
      .map((name) => env[name]?.trim() ?? '')
      .find((value) => value !== '');
    const raw = given ?? definition.fallback;
    if (raw === undefined) {
      values[name] = undefined;
      continue;
    }
    const artefact = raw === given ? artefactOf(definition.env, raw) : undefined;
    if (artefact !== undefined) {
      problems.push(artefact);
      continue;
    }
    const result = definition.schema.safeParse(raw);
    if (result.success) values[name] = result.data;
    else problems.push(problemOf(definition, raw, result.error));
  }
  if (problems.length > 0)
    throw settingsInvalid(
      problems,
      strayNames(env).map(({ line }) => line),
    );
  const host = String(values['host']);
  values['myceliumHost'] ??= isIP(host) === 0 ? '127.0.0.1' : host;
  return values as Settings; // each value came out of the schema its type is taken from
}

/**
 * What a file of settings leaves in a value that is not read as a shell or systemd would: letters that were lost, where what is left is
 * another value and a secret that can be guessed; and quotes.
 */
function artefactOf(setting: string, raw: string): SettingProblem | undefined {
  const fix = `unset ${setting}`;
  if (raw.includes('\uFFFD'))
    return { setting, line: `${setting}: the value is not UTF-8. Write it as UTF-8, or unset it.`, fix };
  if (raw.length < 2 || !/^(["']).*\1$/s.test(raw)) return undefined;
  const line = `${setting}: the value is in quotes, which would be part of it. Remove them, or unset it.`;
  return { setting, line, fix };
}

/** Whether an example describes a value that only the operator knows. */
const isPlaceholder = (example: string): boolean => /<[^<>]+>/.test(example);

function problemOf(definition: Definition, raw: string, error: z.ZodError): SettingProblem {
  const index = error.issues[0]?.path[0];
  const where = typeof index === 'number' ? ` (item ${index + 1} is wrong)` : '';
  // A URL can carry a password; what holds an @ is not shown.
  const hidden = definition.secret === true || raw.includes('@');
  const what = hidden ? 'the value' : JSON.stringify(raw.slice(0, 80));
  const { example } = definition;
  const fix = `${definition.env}=${isPlaceholder(example) ? example : shellWord(example)}`;
  return {
    setting: definition.env,
    line: `${definition.env}: ${what} is not ${definition.expects}${where}. For example, set ${fix}, or unset it.`,
    fix,
  };
}

/** Beginnings that no other program's variables have: a name with one is meant for this node, or is a left-over. */
const FAMILIES = ['MYCELIUM_', 'TLS_', 'OAUTH_', 'FEDERATION_', 'GEOFENCE_', 'MIRROR_'];

/** A name in the environment that is taken for a setting but is none. */
export interface StrayName {
  readonly name: string;
  /** The setting that was probably meant. */
  readonly meant?: string | undefined;
  /** One line about it. */
  readonly line: string;
}

/** Names in the environment that look like a mistyped setting, or are of one of our families and no setting. */
export function strayNames(env: Environment): StrayName[] {
  const known = definitions.flatMap(([, definition]) => [definition.env, ...(definition.aliases ?? [])]);
  const found: StrayName[] = [];
  for (const name of Object.keys(env)) {
    if (known.includes(name) || FOREIGN.has(name)) continue;
    // Short names have innocent neighbours (HOME is two letters from HOST), so they get one slip, longer ones two.
    const near = known
      .map((each) => ({ each, slips: editDistance(name.toUpperCase(), each) }))
      .filter(({ each, slips }) => slips <= (each.length < 8 ? 1 : 2))
      .sort((a, b) => a.slips - b.slips)[0]?.each;
    const isOurs = FAMILIES.some((family) => name.startsWith(family));
    if (near === undefined && !isOurs) continue;
    const meant = near ?? known.find((each) => each.startsWith(`${name}_`) || name.startsWith(`${each}_`));
    const advice = meant === undefined ? 'Unset it.' : `Did you mean ${meant}?`;
    found.push({ name, meant, line: `${name}: not a setting, so it is ignored. ${advice}` });
  }
  return found;
}

/** The runbook's table of settings, in markdown. */
export function settingsTable(): string {
  const rows = definitions.map(([, { env, section, fallback, expects, help }]) => {
    const value = fallback === undefined || fallback === '' ? '' : `\`${fallback}\``;
    return `| ${section} | \`${env}\` | ${value} | ${expects} | ${help} |`;
  });
  return ['| section | setting | default | value | meaning |', '|---|---|---|---|---|', ...rows].join('\n');
}

/** The settings as an EnvironmentFile of systemd, all of them commented out: `systemd/agrinetd.env`. */
export function settingsExample(): string {
  const lines = [
    '# Settings of agrinetd. To change one, remove the # in front of it, then run: systemctl restart agrinetd',
    '# Put values with spaces or # in "double quotes". DATA_DIR is set in the unit.',
    '# Each secret is a file of its own in /etc/agrinet/credentials, mode 600, with one of these names:',
    ...definitions.flatMap(([, { env, secret }]) => (secret === true ? [`#   ${env}`] : [])),
  ];
  let before = '';
  for (const [, { env, section, fallback, example, help, secret }] of definitions) {
    if (secret === true || env === 'DATA_DIR') continue;
    if (section !== before) lines.push('', `# -- ${section}`);
    before = section;
    const value = fallback === undefined || fallback === '' ? example : fallback;
    lines.push('', `# ${help}`, `#${env}=${/[\s#"'\\]/.test(value) ? JSON.stringify(value) : value}`);
  }
  return `${lines.join('\n')}\n`;
}

/** The same for `agrinet start --help`. */
export function settingsHelp(): string {
  const lines = definitions.map(([, { env, fallback, help }]) => {
    const value = fallback === undefined || fallback === '' ? '' : ` [${fallback}]`;
    return `  ${env}${value}\n      ${help.replaceAll('`', '')}`;
  });
  return ['Settings are environment variables [default]:', ...lines].join('\n');
}

/** Whether a host, as in a URL or in HOST, is this machine only. A name other than localhost is not. */
export function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (bare === 'localhost' || bare === '::1') return true;
  const v4 = bare.startsWith('::ffff:') ? bare.slice(7) : bare;
  return isIP(v4) === 4 && v4.startsWith('127.');
}

/** Twilio's account; undefined when something of it is missing. */
export function accountOf(
  settings: Pick<Settings, 'twilioAccountSid' | 'twilioAuthToken' | 'twilioSmsNumber' | 'twilioApiUrl'>,
): TwilioAccount | undefined {
  const { twilioAccountSid: accountSid, twilioAuthToken: authToken, twilioSmsNumber: from } = settings;
  if (accountSid === undefined || authToken === undefined || from === undefined) return undefined;
  return { accountSid, authToken, from, url: settings.twilioApiUrl };
}
