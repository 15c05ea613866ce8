import { systemEnv } from '../../../../daemon/system-env.ts';
import { type AnswerBench, answerBench } from '../../../support/answer-bench.ts';
import type { CasesOf } from './case.ts';

interface Answers extends AnswerBench {
  readonly pass: (ms: number) => void;
}

/** What comes of something done with answers under a clock that only the test moves. */
async function answers<T>(work: (bench: Answers) => Promise<T>): Promise<T> {
  let now = 1_700_000_000_000;
  const bench = await answerBench(
    { now: () => now, monotonic: () => now, bytes: systemEnv.bytes },
    systemEnv,
  );
  try {
    return await work({ ...bench, pass: (ms) => void (now += ms) });
  } finally {
    await bench.close();
  }
}

const other = (code: string): string => (code === '000000' ? '111111' : '000000');
const accepted = (reply: string): boolean => reply.includes('You have accepted');
const number = (n: number): string => `+2547001${String(n).padStart(5, '0')}`;

export const ANSWER_CASES: CasesOf<'daemon/sms/answer-codes.ts'> = {
  codeMs: {
    over: 'clock',
    send: (_, ms) =>
      answers(async ({ issue, receive, pass }) => {
        const code = await issue(1);
        pass(ms);
        return accepted(await receive(`YES ${code}`));
      }),
    gives: [true, false, false],
  },
  tries: {
    over: 'in process',
    why: 'what is posted is signed for the URL of a node',
    send: (_, n) =>
      answers(async ({ issue, receive }) => {
        const code = (await issue(1)) ?? '';
        for (let i = 0; i < n; i++) await receive(`YES ${other(code)}`);
        return accepted(await receive(`YES ${code}`));
      }),
    gives: [true, false, false],
  },
  codesPerUser: {
    over: 'in process',
    why: 'what is posted is signed for the URL of a node',
    send: (_, n) =>
      answers(async ({ issue }) => {
        const codes: (string | undefined)[] = [];
        for (let i = 0; i < n; i++) codes.push(await issue(i));
        return codes.filter((code) => code !== undefined).length;
      }),
    gives: [7, 8, 8],
  },
  wrongPerNumber: {
    over: 'in process',
    why: 'what is posted is signed for the URL of a node',
    send: (_, n) =>
      answers(async ({ issue, receive }) => {
        for (let i = 0; i < n; i++) await receive('YES 000000');
        return accepted(await receive(`YES ${await issue(1)}`));
      }),
    gives: [true, false, false],
  },
  wrongInAll: {
    over: 'in process',
    why: 'what is posted is signed for the URL of a node',
    send: (_, n) =>
      answers(async ({ issue, receive, users }) => {
        for (let i = 0; i < n; i++) users.push({ id: `u${i}`, phone: number(i) });
        for (let i = 0; i < n; i++) await receive('YES 000000', { from: number(i) });
        return accepted(await receive(`YES ${await issue(1)}`));
      }),
    gives: [true, false, false],
  },
  repliesPerNumber: {
    over: 'in process',
    why: 'what is posted is signed for the URL of a node',
    send: (_, n) =>
      answers(async ({ receive }) => {
        const replies: string[] = [];
        for (let i = 0; i < n; i++) replies.push(await receive('?'));
        return replies.filter((each) => each.includes('<Message>')).length;
      }),
    gives: [19, 20, 20],
  },
  rememberMs: {
    over: 'clock',
    send: (_, ms) =>
      answers(async ({ receive, pass, table }) => {
        await receive('?', { sid: 'SM-first' });
        pass(ms);
        await receive('?');
        return (await table.received()).some(({ id }) => id === 'SM-first');
      }),
    gives: [true, true, false],
  },
  waiting: {
    over: 'in process',
    why: 'how many wait shows where they come at once',
    send: (_, n) =>
      answers(async ({ receive }) => {
        const all = await Promise.allSettled(Array.from({ length: n }, () => receive('?')));
        return all.filter(({ status }) => status === 'fulfilled').length;
      }),
    gives: [63, 64, 64],
  },
};
