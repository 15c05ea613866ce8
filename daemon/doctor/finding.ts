import { shellWord } from '../setting-values.ts';
import { type FindingId, FINDINGS } from './findings.ts';

/** `error`: something does not work or is wrong; `warning`: it will be unless somebody acts; `info`: good to know. */
export const SEVERITIES = ['error', 'warning', 'info'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** All checks. `offline` ones need no running daemon. */
export const CHECKS = {
  daemon: { offline: true, what: 'whether a daemon answers' },
  settings: { offline: true, what: 'environment variables that look like settings but are not' },
  secrets: { offline: true, what: 'secrets that can be guessed' },
  exposure: { offline: true, what: 'settings that together expose more than was probably intended' },
  files: { offline: true, what: 'identity, API key and pepper: present, and readable by nobody else' },
  database: { offline: true, what: 'the database: present, writable, and not locked by another process' },
  disk: { offline: true, what: 'free space against DISK_RESERVE_MB, and how long it will last' },
  tls: { offline: true, what: 'the certificate: its dates and its names' },
  clock: { offline: false, what: 'this clock against those of registered peers' },
  dht: { offline: false, what: 'an empty DHT table while peers are connected' },
  peers: { offline: false, what: 'registered nodes that cannot be reached' },
  registrations: { offline: false, what: 'nodes that are pending, suspended or revoked' },
  schema: { offline: false, what: 'nodes and ops with a newer schema than this node’s' },
  gaps: { offline: false, what: 'entries that are known to exist but do not arrive' },
  quotas: { offline: false, what: 'nodes close to their quota' },
  stalls: { offline: false, what: 'feeds of this node that make no progress at a peer' },
  forgotten: { offline: false, what: 'nodes some of whose entries were forgotten' },
  digests: { offline: false, what: 'equal frontiers with unequal digests' },
  scrub: { offline: false, what: 'stored rows that did not match the feeds' },
  forks: { offline: false, what: 'feeds with two histories' },
  quarantine: { offline: false, what: 'ops that are pending or rejected' },
  conflicts: { offline: false, what: 'fields that two writers changed at the same time' },
  alarms: { offline: false, what: 'alarms that have not been cleared' },
  jobs: { offline: false, what: 'dead jobs, and a queue that falls behind' },
  redis: { offline: false, what: 'Redis, if REDIS_URL is set' },
  mirror: { offline: false, what: 'the mirror’s state and lag, and items that its tables reject' },
  rejoin: { offline: false, what: 'commitments held back after a restore' },
} as const satisfies Record<string, { readonly offline: boolean; readonly what: string }>;

export type CheckId = keyof typeof CHECKS;

/** The runbook's table of checks, in markdown. */
export function checksTable(): string {
  const rows = Object.entries(CHECKS).map(
    ([check, { offline, what }]) => `| \`${check}\` | ${what} | ${offline ? 'yes' : ''} |`,
  );
  return ['| check | what it checks | works without the daemon |', '|---|---|---|', ...rows].join('\n');
}

/** One thing that the operator should know. */
export interface Finding {
  readonly id: FindingId;
  readonly check: CheckId;
  readonly severity: Severity;
  /** Its subject: a node, a file, a setting. */
  readonly subject?: string;
  readonly message: string;
  /** The command or the setting that fixes it. */
  readonly remedy: string;
}

/** The names in braces of a remedy. */
type Named<T extends string> = T extends `${string}{${infer Name}}${infer Rest}` ? Name | Named<Rest> : never;
type Remedy<I extends FindingId> = (typeof FINDINGS)[I]['remedy'];

/** A piece of a remedy: one word of a command, whatever it holds; a whole command; or undefined where only the operator knows. */
type Value = string | { readonly command: string } | undefined;

/** The part of a finding that belongs to one case; `values` fill in the names in its remedy. */
export type FindingFields<I extends FindingId> = {
  readonly message: string;
  readonly subject?: string | undefined;
} & ([Named<Remedy<I>>] extends [never]
  ? { readonly values?: undefined }
  : { readonly values: Readonly<Record<Named<Remedy<I>>, Value>> });

/** A finding of the table about one case. */
export function finding<I extends FindingId>(id: I, { message, subject, values }: FindingFields<I>): Finding {
  const { check, severity, remedy } = FINDINGS[id];
  const known = new Map<string, Value>(Object.entries(values ?? {}));
  const fill = (name: string): string => {
    const value = known.get(name);
    if (value === undefined) return `<${name}>`;
    return typeof value === 'string' ? shellWord(value) : value.command;
  };
  return {
    id,
    check,
    severity,
    message,
    ...(subject === undefined ? {} : { subject }),
    remedy: remedy.replace(/\{(\w+)\}/g, (_, name: string) => fill(name)),
  };
}

/** Whether somebody has to act. */
export function isUnhealthy(findings: readonly { readonly severity: Severity }[]): boolean {
  return findings.some(({ severity }) => severity !== 'info');
}

/** Worst first, then in the order of the checks. */
export function sorted(findings: readonly Finding[]): Finding[] {
  const order = Object.keys(CHECKS);
  const rank = ({ severity, check }: Finding): number =>
    SEVERITIES.indexOf(severity) * order.length + order.indexOf(check);
  return findings.toSorted((a, b) => rank(a) - rank(b));
}

/** Of one kind, by their subjects. */
const NAMED = 10;

/** Findings about many subjects stay readable: the first ones, and a last one that counts the rest. */
export function firstOf(findings: readonly Finding[]): Finding[] {
  const [next] = findings.slice(NAMED);
  if (next === undefined) return [...findings];
  const { id, check, severity, remedy } = next;
  const message = `and ${findings.length - NAMED} more of this kind`;
  return [...findings.slice(0, NAMED), { id, check, severity, message, remedy }];
}

/** Text of a peer or of the environment, harmless for a terminal and of bounded length. */
export function harmless(text: string, max = 80): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
  return plain.length > max ? `${plain.slice(0, max - 1)}…` : plain;
}
