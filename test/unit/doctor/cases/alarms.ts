import { expect } from 'vitest';
import type { createAlarms } from '../../../../daemon/alarms.ts';
import type { FindingId } from '../../../../daemon/doctor/findings.ts';
import { Hand, listingOps } from '../../../support/forge.ts';
import { registerHere } from '../../../support/in-process-node.ts';
import { epoch, node, online, planted, restarted, run, someone } from './bench.ts';
import type { CasesOf, FindingCase } from './case.ts';

type Raised = Parameters<ReturnType<typeof createAlarms>['raise']>[0];
const CLEAR = 'agrinet alarms --clear';
const peer = someone().peerId;

/** What raises each alarm is shown where it belongs; here it is what is left to be done about it. */
function raised(message: RegExp, alarm: Raised): FindingCase {
  return planted(
    message,
    async () => {
      const of = await node();
      await registerHere(of, peer);
      of.node.alarms.raise(alarm);
      return [await online(of), of];
    },
    async ({ remedy }, of) => {
      if (!remedy.endsWith(CLEAR)) {
        expect(remedy).toMatch(/^restart the daemon/);
        return online(await restarted(of));
      }
      if (remedy.includes('<that node>')) await run(of, { remedy }, { '<that node>': peer, '<MiB>': '600' });
      else if (remedy.startsWith('agrinet') && !remedy.startsWith(CLEAR))
        await run(of, { remedy: remedy.replace(/ shows .*/, '') });
      await run(of, { remedy: CLEAR });
      expect((await online(of)).filter(({ check }) => check === 'alarms')).toEqual([]);
      // If its cause is still there it comes again at once.
      of.node.alarms.raise(alarm);
      expect((await online(of)).filter(({ check }) => check === 'alarms')).toHaveLength(1);
      await run(of, { remedy: CLEAR });
      return online(of);
    },
  );
}

const usage = { bytes: 3e8, pending: 5, pendingBytes: 100 };
export const ALARMS: CasesOf<Extract<FindingId, `alarm-${string}`>> = {
  'alarm-own-key-elsewhere': raised(/Another process is writing with this node's key/, {
    kind: 'own-key-elsewhere',
    epoch: epoch(),
  }),
  'alarm-author-over-quota': raised(/has reached its quota/, {
    kind: 'author-over-quota',
    author: peer,
    what: 'bytes',
    usage,
  }),
  'alarm-commit-failed': raised(/did not reach the disk/, { kind: 'commit-failed', code: 'disk-full' }),
  'alarm-own-entries-returned': [
    planted(
      /A peer returned entries of this node/,
      async () => {
        const identity = someone();
        const of = await node({}, identity);
        const hand = new Hand(identity, epoch());
        await of.node.ledger.receive([
          hand.next(listingOps(hand.pen, 'maize', undefined, { title: 'Maize' })).bytes,
        ]);
        return [await online(of), of];
      },
      async ({ remedy }, of) => {
        await run(of, { remedy: remedy.replace(/ shows .*/, '') });
        await run(of, { remedy: CLEAR });
        return online(of);
      },
    ),
  ],
  'alarm-foreign-certificate': raised(/presents a TLS certificate that its node key has not signed/, {
    kind: 'foreign-certificate',
    node: peer,
  }),
  'alarm-peer-distrusted': raised(/sent invalid data/, {
    kind: 'peer-distrusted',
    node: peer,
    code: 'entry-rejected',
    forMs: 60_000,
  }),
  'alarm-listener-failed': raised(/The part "gossip" failed/, {
    kind: 'listener-failed',
    listener: 'gossip',
  }),
  'alarm-sms-denied': raised(/Twilio refuses this node's credentials \(status 401\)/, {
    kind: 'sms-denied',
    status: 401,
  }),
  'alarm-checkpoint-false': raised(/signed a checkpoint \(0123456789abcdef\) that differs/, {
    kind: 'checkpoint-false',
    author: peer,
    id: '0123456789abcdef'.repeat(4),
  }),
  'alarm-record-left-out': raised(/cannot be read or shown and are left out/, { kind: 'record-left-out' }),
  'alarm-merge-outstanding': raised(/could not be merged after several tries/, {
    kind: 'merge-outstanding',
    key: 'listings/x/y',
  }),
  'alarm-trends-failed': raised(/Trends could not be computed/, { kind: 'trends-failed' }),
  'alarm-tail-lost': raised(/The last 3 commits were missing/, { kind: 'tail-lost', commits: 3 }),
  'alarm-database-damaged': raised(/The database was damaged/, {
    kind: 'database-damaged',
    holes: 1,
    problems: 2,
  }),
};
