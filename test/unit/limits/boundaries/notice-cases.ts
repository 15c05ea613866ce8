import { WAITING_LIMITS, WaitingSteps } from '../../../../daemon/notices/waiting-steps.ts';
import { recordKey } from '../../../../protocols/wire/ids.ts';
import { HandClock } from '../../../support/hand-clock.ts';
import { nodeOf } from '../../../support/vectors/signatures.ts';
import type { CasesOf } from './case.ts';

const { peerId: peer } = nodeOf(2);
const contract = (n: number) => recordKey('contracts', peer, `c${n}`);
const step = (n: number) => ({ record: recordKey('transitions', peer, `s${n}`), at: 0 });

/** Waiting steps whose disk takes everything, under a clock that only the test moves. */
function waitingSteps() {
  const clock = new HandClock();
  const waiting = new WaitingSteps(
    {
      waiting: async () => [],
      wait: (key) => ({ type: 'put', key, value: new Uint8Array() }),
      waitNoMore: (key) => ({ type: 'del', key }),
    },
    clock.env,
  );
  const look = async (ms: number): Promise<number> => {
    await clock.pass(ms);
    const due = waiting.due();
    if (due === undefined) return 0;
    waiting.looked(due.contract, new Set(due.steps.map(({ record }) => record)));
    return due.steps.length;
  };
  return { waiting, look };
}

export const WAITING_CASES: CasesOf<'daemon/notices/waiting-steps.ts'> = {
  ofContract: {
    over: 'in process',
    why: 'a step that waits is seen by nobody before it is told',
    async send(_, n) {
      const { waiting, look } = waitingSteps();
      for (let i = 0; i < n; i++) waiting.add(contract(1), step(i));
      return look(WAITING_LIMITS.firstMs);
    },
    gives: [63, 64, 64],
  },
  ofNode: {
    over: 'in process',
    why: 'a step that waits is seen by nobody before it is told',
    async send(_, n) {
      const { waiting } = waitingSteps();
      return Array.from({ length: n }, (__, i) => waiting.add(contract(i), step(i))).flat().length;
    },
    gives: [1023, 1024, 1024],
  },
  firstMs: {
    over: 'clock',
    async send(_, ms) {
      const { waiting, look } = waitingSteps();
      waiting.add(contract(1), step(1));
      return look(ms);
    },
    gives: [0, 1, 1],
  },
  longestMs: {
    over: 'clock',
    async send(_, ms) {
      const { waiting, look } = waitingSteps();
      waiting.add(contract(1), step(1));
      for (let looks = 1; looks < WAITING_LIMITS.looks - 1; looks++) await look(WAITING_LIMITS.longestMs);
      return look(ms);
    },
    gives: [0, 1, 1],
  },
  looks: {
    over: 'clock',
    async send(_, n) {
      const { waiting, look } = waitingSteps();
      waiting.add(contract(1), step(1));
      for (let looks = 0; looks < n; looks++) await look(WAITING_LIMITS.longestMs);
      return look(WAITING_LIMITS.longestMs);
    },
    gives: [1, 0, 0],
  },
};
