import { errorCode } from '../../protocols/errors.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import type { Merger } from '../../protocols/open-dialog/merger.ts';
import { MERGE } from '../../protocols/open-dialog/record.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Store } from '../../storage/store.ts';
import type { Listen } from '../hooks.ts';
import type { Logger } from '../logger.ts';

export interface OutstandingParts {
  readonly store: Pick<Store, 'awaiting'>;
  readonly merger: Pick<Merger, 'onDue' | 'onRoom'>;
  readonly ledger: Pick<Ledger, 'mergeAgain'>;
  readonly recovered: Listen<void>;
  readonly logger: Pick<Logger, 'warn'>;
}

/** Records merged again at a time when all of them are: each is evaluated whole. */
const AT_ONCE = 64;

/**
 * Has records that wait for a merge merged: each when its next try is due, and all of them at the start, when more waited than the merger remembers, and
 * when writing was refused for a while: what became due meanwhile could not be written, and is due no more.
 */
export function mergeOutstanding({ store, merger, ledger, recovered, logger }: OutstandingParts): {
  /** To be called when the ledger has stopped. */
  readonly stop: () => Promise<void>;
} {
  const again = async (key: RecordKey): Promise<void> => {
    try {
      await ledger.mergeAgain(key);
    } catch (error) {
      // It is merged at the next start.
      if (errorCode(error) !== 'stopping') logger.warn({ err: error, key }, 'a record is still pending');
    }
  };
  let asking: Promise<void> | undefined;
  let isAskedAgain = false;
  let isStopped = false;
  const askAll = async (): Promise<void> => {
    try {
      do {
        isAskedAgain = false;
        const keys = await store.awaiting(MERGE);
        for (let at = 0; at < keys.length && !isStopped; at += AT_ONCE)
          await Promise.all(keys.slice(at, at + AT_ONCE).map(again));
      } while (isAskedAgain && !isStopped);
    } catch (error) {
      logger.warn({ err: error }, 'which records wait for a merge is not known');
    } finally {
      asking = undefined;
    }
  };
  const all = (): Promise<void> => {
    if (asking !== undefined) isAskedAgain = true;
    return (asking ??= askAll());
  };
  merger.onDue((key) => void again(key));
  merger.onRoom(() => void all());
  recovered.on('merges', all);
  void all();
  return {
    async stop() {
      isStopped = true;
      await asking;
    },
  };
}
