import type { ScrubPass } from '../../api/ports/scrub.ts';
import type { Database } from '../../storage/database.ts';
import { fullKey, range } from '../../storage/keyspace.ts';
import { putJson, soundJson } from '../../storage/values.ts';

/**
 * The steps of a pass, in order: the rows that entries must have, those that records must have, rows that refer to nothing, the
 * sums, the words that listings are found by, attachments.
 */
export const PHASES = [
  'feeds',
  'entries',
  'records',
  'recordOps',
  'past',
  'verdicts',
  'awaiting',
  'index',
  'changes',
  'digests',
  'search',
  'attachments',
] as const;
export type Phase = (typeof PHASES)[number];

/** A pass under way, as it is noted too. */
export type Pass = {
  startedAt: number;
  endedAt: number | undefined;
  phase: Phase;
  after: string;
  rows: number;
  wrong: Record<string, number>;
  beyond: number;
  unchecked: number;
};

/** Where the scrub writes down how far it is, and what it has found. */
const PASS_NOTE = fullKey('meta', 'scrub');

/** What the scrub remembers from one start to the next. */
interface PassNote {
  pass?: Pass;
  last?: ScrubPass;
}

/** After a rebuild: earlier findings are no longer of use, and a pass begins again. */
export async function forgetPasses(db: Pick<Database, 'batch'>): Promise<void> {
  await db.batch([{ type: 'del', key: PASS_NOTE }], true);
}

export async function notePass(db: Pick<Database, 'batch'>, note: PassNote): Promise<void> {
  await db.batch([putJson(PASS_NOTE, note)], false);
}

/** Undefined when nothing was stored, or it is damaged: then a pass begins again. */
export async function notedPass({ level }: Pick<Database, 'level'>): Promise<PassNote> {
  return soundJson<PassNote>(PASS_NOTE, await level.get(PASS_NOTE)) ?? {};
}

export function newPass(now: number): Pass {
  return {
    startedAt: now,
    endedAt: undefined,
    phase: 'feeds',
    after: '',
    rows: 0,
    wrong: {},
    beyond: 0,
    unchecked: 0,
  };
}

export function figuresOf({ startedAt, endedAt, rows, wrong, beyond, unchecked }: Pass): ScrubPass {
  return { startedAt, endedAt, rows, wrong: { ...wrong }, beyond, unchecked };
}

/** How many rows a pass goes through. */
export async function rowsToWalk({ level }: Pick<Database, 'level'>): Promise<number> {
  let rows = 0;
  for (const phase of PHASES)
    if (phase !== 'feeds' && phase !== 'digests' && phase !== 'search' && phase !== 'attachments')
      for await (const key of level.keys(range(phase))) rows += key === '' ? 0 : 1;
  return rows;
}
