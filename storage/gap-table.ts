import type { Gap } from '../protocols/feed/gap.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import type { Level } from './level.ts';
import { putJson, verifiedJson } from './values.ts';

/** Digits of a feed number; with those of a sequence behind it, it is the key of an entry that is kept. */
const NO_DIGITS = 8;

/** Stands while an author is being forgotten, from the batch that notes its feeds to when the disk has its space back. */
const SWEEPING = fullKey('meta', 'forgetting');

type GapRow = Omit<Gap, 'no' | 'kept'>;

/** Feeds whose entries were forgotten, in memory as on disk: a row for each, and one for each entry of it that is kept. */
export class GapTable {
  #gaps = new Map<number, Gap>();
  /** The node whose rows are being removed: nothing more of it is admitted until that is done. */
  sweeping: string | undefined;

  /** Reads all of it; what it returns puts it in force. */
  async read(level: Level): Promise<() => void> {
    const gaps = await readGaps(level);
    const value = await level.get(SWEEPING);
    return () => {
      this.#gaps = gaps;
      this.sweeping = value && verifiedJson<string>(SWEEPING, value);
    };
  }

  of(no: number): Gap | undefined {
    return this.#gaps.get(no);
  }

  all(): readonly Gap[] {
    return [...this.#gaps.values()];
  }

  /** After its rows are on disk. */
  note(gap: Gap): void {
    this.#gaps.set(gap.no, gap);
  }

  /** After its rows are gone. */
  closed(no: number): void {
    this.#gaps.delete(no);
  }
}

/** All gaps of a database; throws `value-damaged`, or leaves damaged rows out when `passing`. */
export async function readGaps(level: Level, passing = false): Promise<Map<number, Gap>> {
  const gaps = new Map<number, Gap>();
  for await (const [key, value] of level.iterator(range('forgotten'))) {
    const inner = innerKey(key);
    const no = Number.parseInt(inner.slice(0, NO_DIGITS), 16);
    try {
      if (inner.length === NO_DIGITS)
        gaps.set(no, { ...verifiedJson<GapRow>(key, value), no, kept: new Map() });
      else {
        const kept = gaps.get(no)?.kept as Map<number, ReadonlySet<number>> | undefined; // made right above
        kept?.set(Number.parseInt(inner.slice(NO_DIGITS), 16), new Set(verifiedJson<number[]>(key, value)));
      }
    } catch (error) {
      if (!passing) throw error;
    }
  }
  return gaps;
}

const gapKey = (no: number): string => fullKey('forgotten', numberKey(no));
const keptKey = (no: number, seq: number): string => fullKey('forgotten', numberKey(no) + numberKey(seq));

/** The rows of a gap, in the place of those that `before` has. */
export function gapRows({ no, kept, ...row }: Gap, before: Gap | undefined): BatchOp[] {
  const key = gapKey(no);
  const gone = [...(before?.kept.keys() ?? [])].filter((seq) => !kept.has(seq));
  return [
    putJson(key, row satisfies GapRow),
    ...[...kept].map(([seq, indexes]): BatchOp => {
      const at = keptKey(no, seq);
      return putJson(at, [...indexes]);
    }),
    ...gone.map((seq): BatchOp => ({ type: 'del', key: keptKey(no, seq) })),
  ];
}

/** Takes the rows of a gap out: everything is held again. */
export function closingRows({ no, kept }: Gap): BatchOp[] {
  return [gapKey(no), ...[...kept.keys()].map((seq) => keptKey(no, seq))].map((key) => ({
    type: 'del',
    key,
  }));
}

/** Records which node is being forgotten, or that none is. */
export function sweepingRow(node: string | undefined): BatchOp {
  if (node === undefined) return { type: 'del', key: SWEEPING };
  return putJson(SWEEPING, node);
}
