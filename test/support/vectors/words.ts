import type { Verdict as ContractVerdict } from '../../../protocols/market/contract/machine.ts';
import type { Verdict } from '../../../protocols/open-dialog/record.ts';

/** Verdicts in the words that `vectors.json` has had from its first version on, which other implementations read. */
const WORDS = { applied: 'counts', pending: 'waits', rejected: 'void' } as const;
const MEMBERS: Readonly<Record<string, string>> = {
  applied: 'counted',
  pending: 'waiting',
  rejected: 'void',
  missing: 'lacks',
};

export function opVerdict(verdict: Verdict): object {
  return renamed({ ...verdict, state: WORDS[verdict.state] });
}

export function contractVerdict(verdict: ContractVerdict): object {
  return renamed(verdict);
}

function renamed(verdict: object): object {
  return Object.fromEntries(Object.entries(verdict).map(([name, value]) => [MEMBERS[name] ?? name, value]));
}
