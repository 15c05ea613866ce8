import { readdirSync, readFileSync } from 'node:fs';
import { KEY_LIMITS } from '../../daemon/access/key-rules.ts';
import { MOST_BACKOFF_MS } from '../../daemon/jobs/backoff.ts';
import { MOST_COOL_DOWN_MS } from '../../daemon/jobs/breaker.ts';
import { JOB_LIMITS } from '../../daemon/jobs/job-store.ts';
import { SCRUB_LIMITS } from '../../daemon/scrub/limits.ts';
import { REQUEST_LIMITS } from '../../protocols/mycelium/signed-request.ts';
import { REGISTRATION_WINDOW_MS } from '../../protocols/registry/addressed.ts';
import { IDEMPOTENCY_LIMITS } from '../../storage/idempotency-table.ts';
import { MIRROR_LIMITS } from '../../storage/mirror/limits.ts';

const root = new URL('../../', import.meta.url);
const DAY_MS = 24 * 60 * 60_000;
const UNITS: Readonly<Record<string, number>> = {
  SECOND_MS: 1000,
  MINUTE_MS: 60_000,
  HOUR_MS: 3_600_000,
  DAY_MS,
};

/** What is kept on disk with a time of the wall clock, and so outlives one that was wrong: its bound, and what it goes by (`daemon/node-clock.ts`). */
const ON_DISK: readonly (readonly [what: string, longest: number, goesBy: string, why: string])[] = [
  [
    'the next try of a job',
    Math.max(MOST_BACKOFF_MS, MOST_COOL_DOWN_MS),
    '`now`',
    'what is further off when it is read was written by a clock that was wrong, and is due',
  ],
  [
    'the lease of a job',
    JOB_LIMITS.leaseMs,
    '`steady`; none outlives the process',
    'another worker takes over what one has dropped',
  ],
  [
    'the end of a key',
    KEY_LIMITS.maxLifetimeMs,
    '`cautious`',
    'a key does not end, nor last for decades, because a clock was wrong for a minute',
  ],
  ['a key that has ended', KEY_LIMITS.keptMs, '`cautious`', 'its owner is told why it is refused'],
  ['an `Idempotency-Key`', IDEMPOTENCY_LIMITS.keptMs, '`cautious`', 'a client repeats within a day'],
  [
    'the nonce of a registration',
    REGISTRATION_WINDOW_MS,
    '`cautious`',
    'nothing older is accepted, so nothing older need be remembered',
  ],
  [
    'the time of a signed request',
    REQUEST_LIMITS.windowMs,
    '`now`',
    'a request that was overheard is of no use later',
  ],
  ['a pass of the scrub', SCRUB_LIMITS.everyMs, '`now`', 'once a day, and never further off than that'],
  [
    'a snapshot of trends, the head of the audit log',
    DAY_MS,
    '`now`, looked at every hour by `steady`',
    'once a day',
  ],
  [
    'new feeds and proofs of forks of one author',
    DAY_MS,
    '`now`',
    'a limited number a day; the rest is accepted the next day',
  ],
  ['a tombstone in the mirror', MIRROR_LIMITS.graceMs, '`now`', 'a late write must meet it'],
  [
    'the lease on the mirror’s tables',
    MIRROR_LIMITS.leaseMs,
    '`now`',
    'a holder that has not renewed it is gone',
  ],
];

/** A length of time as people say it. */
function said(ms: number): string {
  for (const [unit, size] of [
    ['d', DAY_MS],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
  ] as const)
    if (ms >= size && (ms % size === 0 || ms >= 10 * size)) return `${+(ms / size).toFixed(1)} ${unit}`;
  return `${ms} ms`;
}

/** A product of numbers and units; undefined of what is anything else. */
function lengthOf(expression: string): number | undefined {
  const factors = expression
    .split('*')
    .map((text) => UNITS[text.trim()] ?? Number(text.trim().replaceAll('_', '')));
  const product = factors.reduce((all, each) => all * each, 1);
  return Number.isFinite(product) ? product : undefined;
}

/** The sources that the program is made of. */
function sources(): string[] {
  return ['api', 'daemon', 'protocols', 'storage'].flatMap((folder) =>
    readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => `${folder}/${name}`)
      .sort(),
  );
}

/** The comments over fields, of values and of their types, by name. */
export function reasonsIn(source: string): Map<string, string> {
  const reasons = new Map<string, string>();
  for (const [, reason = '', name = ''] of source.matchAll(
    /\/\*\* ((?:(?!\*\/)[^])*?) \*\/\n {2}(?:readonly )?(\w+): /g,
  ))
    reasons.set(name, reason.replace(/\s*\n\s*\* ?/g, ' '));
  return reasons;
}

/** Every constant that is a length of time: where it stands, and the comment over it or over its type. */
export function waits(): [file: string, name: string, length: number, why: string][] {
  return sources().flatMap((file) => {
    const text = readFileSync(new URL(file, root), 'utf8');
    const ofTypes = reasonsIn(text);
    return [
      ...text.matchAll(
        /(?:\/\*\* ((?:(?!\*\/)[^])*?) \*\/\n)?(?: *)(?:(?:export )?const ([A-Z_]+_MS) = |(\w+Ms): )([\d_*\sA-Z]+?)[,;]\n/g,
      ),
    ].flatMap(([, why = '', constant, field, expression = '']): [string, string, number, string][] => {
      const name = constant ?? field ?? '';
      const length = lengthOf(expression);
      if (length === undefined || length === 0 || Object.hasOwn(UNITS, name)) return [];
      return [[file, name, length, why.replace(/\s*\n\s*\* ?/g, ' ') || (ofTypes.get(name) ?? '')]];
    });
  });
}

const line = (cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

/** What is kept on disk with a date. */
export function diskDeadlinesTable(): string {
  const rows = ON_DISK.map(([what, longest, goesBy, why]) => line([what, said(longest), goesBy, why]));
  return [line(['on disk', 'at most', 'goes by', 'why']), '|---|---|---|---|', ...rows].join('\n');
}

/** Every wait within a process, by the clock that nobody sets. */
export function waitsTable(): string {
  const rows = waits().map(([file, name, length, why]) =>
    line([`\`${file}\``, `\`${name}\``, said(length), why]),
  );
  return [line(['file', 'name', 'length', 'why']), '|---|---|---|---|', ...rows].join('\n');
}
