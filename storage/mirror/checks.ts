import { AgrinetError } from '../../protocols/errors.ts';
import { itemKey, type Outbox } from '../outbox.ts';
import type { Tables } from './client.ts';
import type { MirrorLimits } from './limits.ts';
import { type VerifyParts, type VerifyStep, verifyTables } from './verify.ts';

export interface RepairOptions {
  /** Also takes out what the mirror never wrote: the old back end's own items. */
  readonly deleteForeign: boolean;
}

export type RepairStep = VerifyStep | { readonly kind: 'repaired'; readonly count: number };

export interface CheckParts extends Omit<VerifyParts, 'incarnation' | 'newestVersion'> {
  readonly outbox: Outbox;
  readonly tables: Pick<Tables, 'get' | 'scan' | 'removeForeign'>;
  readonly limits: MirrorLimits;
  /** Of the hold; throws when the mirror is not at work. */
  readonly incarnation: () => number;
}

/** Compares the tables with LevelDB, one check at a time. */
export interface Checks {
  /** Throws `mirror-busy`, and what `incarnation` throws. */
  verify(): AsyncGenerator<VerifyStep>;
  /** As `verify`; what differs is put into the outbox again, and has been written at the end. */
  repair(options: RepairOptions): AsyncGenerator<RepairStep>;
  busy(): boolean;
}

export function createChecks(parts: CheckParts): Checks {
  const { outbox, tables, limits } = parts;
  let busy = false;

  async function* verify(): AsyncGenerator<VerifyStep> {
    if (busy) throw new AgrinetError('mirror-busy', 'the tables are already being checked; try again later');
    const incarnation = parts.incarnation();
    busy = true;
    try {
      yield* verifyTables({ ...parts, incarnation, newestVersion: () => outbox.newestVersion });
    } finally {
      busy = false;
    }
  }

  async function* repair({ deleteForeign }: RepairOptions): AsyncGenerator<RepairStep> {
    let keys: string[] = [];
    let repaired = 0;
    const flush = async (): Promise<void> => {
      repaired += keys.length;
      if (keys.length > 0) await outbox.enqueue(keys);
      keys = [];
    };
    for await (const step of verify()) {
      if (step.kind === 'difference') keys.push(itemKey(step.difference));
      if (step.kind === 'foreign' && deleteForeign && (await tables.removeForeign(step.target))) repaired++;
      if (keys.length >= limits.fillChunk) await flush();
      yield step;
    }
    await flush();
    await parts.drained();
    yield { kind: 'repaired', count: repaired };
  }

  return { verify, repair, busy: () => busy };
}
