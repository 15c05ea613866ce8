import type { Env } from '../../protocols/env.ts';
import { createClock } from '../../protocols/feed/clock.ts';
import { createLedger } from '../../protocols/ledger/ledger.ts';
import type { Merger, Merges } from '../../protocols/open-dialog/merger.ts';
import type { Registry } from '../../protocols/registry/registry.ts';
import type { Store } from '../../storage/store.ts';
import type { Emit } from '../hooks.ts';
import { mergeOutstanding } from '../merging/outstanding-merges.ts';
import { definePart, type Face } from '../parts.ts';
import { authorQuota } from '../quotas.ts';
import type { WriteRefusal } from '../write-refusal.ts';
import type { Base } from './base.ts';

export interface LedgerComponents extends Pick<
  Base,
  'settings' | 'identity' | 'clock' | 'env' | 'hooks' | 'alarms' | 'logger'
> {
  readonly store: Face<Store>;
  readonly merger: Face<Merger>;
  readonly ownMerger: Face<Merges>;
  readonly registry: Face<Pick<Registry, 'followState' | 'get'>>;
  readonly refusal: Pick<WriteRefusal, 'get'>;
}

/** The one way in of entries, own and others'. */
export function defineLedger({
  settings,
  identity,
  clock,
  env,
  hooks,
  alarms,
  logger,
  ...parts
}: LedgerComponents) {
  return definePart('ledger', async () => {
    const { store, registry, merger } = {
      store: parts.store.face,
      registry: parts.registry.face,
      merger: parts.merger.face,
    };
    const ledger = createLedger({
      identity,
      net: settings.myceliumNetwork,
      store,
      merges: timed(merger, env, hooks.merged),
      ownMerges: timed(parts.ownMerger.face, env, hooks.merged),
      // Nothing of a node that is being forgotten is admitted before that is done.
      following: {
        followState: (author) => (store.gaps.sweeping === author ? 'no' : registry.followState(author)),
      },
      quota: authorQuota(settings, registry),
      clock: createClock(clock.now, { last: await store.ownTime(), credible: clock.credible }),
      env,
      credible: clock.credible,
      refusal: () => parts.refusal.get(),
      onCommit: hooks.committed.emit,
      onAlarm: (alarm) => alarms.raise(alarm),
    });
    const outstanding = mergeOutstanding({ store, merger, ledger, recovered: hooks.recovered, logger });
    return {
      face: ledger,
      async stop() {
        await ledger.stop();
        await outstanding.stop();
      },
    };
  });
}

/** Tells how long each evaluation took. */
function timed(merges: Merges, env: Pick<Env, 'monotonic'>, merged: Emit<number>): Merges {
  return {
    async merge(...what) {
      const started = env.monotonic();
      const values = await merges.merge(...what);
      merged.emit(env.monotonic() - started);
      return values;
    },
  };
}
