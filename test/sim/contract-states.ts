import type { Step } from '../../protocols/market/contract/model.ts';
import type { Transition } from '../../protocols/market/contract/statement.ts';
import { applyStatements } from '../../protocols/market/contract/apply-statements.ts';
import { CONTRACT, orders } from './contract-steps.ts';

/**
 * A contract's canonical state: all of a history that can matter to steps which follow the whole of it.
 *
 * Such a step finds the past finished: which accepts stand is decided (an expire that comes now has every accept before it
 * and may not expire what is accepted; nothing that comes now can precede an expire), and rounds before the last stay
 * closed. So of the past there remain: the proposals by their kind, who has settled and cancelled in this round, and what
 * each has answered to the dispute. Two steps can name two proposals, so of one kind the first three are told apart from
 * none while proposals can still be accepted, and afterwards only whether one can still expire. Rounds after the first are
 * one. The test does not trust this: wherever a second history comes to a state that another came to, all its steps and
 * pairs of steps must lead where those of the first led.
 */
export interface Canonical {
  readonly signature: string;
  readonly state: string;
  /** One or two proposals of each kind, for the next steps to name. */
  readonly named: readonly Transition[];
  readonly resolves: number;
  /** In its first round. */
  readonly plain: boolean;
}

const ALIKE = 2;

/** Finds a history's canonical state. */
export function canonical(statements: readonly Transition[]): Canonical {
  const { history, end } = applyStatements(CONTRACT, statements);
  const all = history.all;
  const of = (kind: string, hash: string): Step[] =>
    all.filter(({ t }) => t.kind === kind && 'proposal' in t && t.proposal === hash);
  const standing = new Set(end.standing.map(({ t }) => ('proposal' in t ? t.proposal : '')));
  const open = end.state === 'draft' || end.state === 'proposed';
  const proposals = all
    .map(({ t }) => t)
    .filter((t) => t.kind === 'propose')
    .map((t) => {
      const stands = standing.has(t.hash);
      const expired = of('expire', t.hash).length > 0;
      const accepted = of('accept', t.hash).length > 0;
      const kind = stands
        ? `stands${end.agreement?.propose === t.hash ? '-agreed' : ''}`
        : `${expired ? 'expired' : 'free'}${accepted ? '-overtaken' : ''}`;
      return {
        t,
        kind: `${t.party} ${kind}`,
        stands,
        matters: stands || open || (t.party === 'b' && !expired),
      };
    })
    .filter((one) => one.matters);
  const most = (kind: string): number =>
    kind.includes('stands') ? ALIKE : open && kind.includes('free') ? ALIKE + 1 : 1;
  const kinds = [...new Set(proposals.map((one) => one.kind))].sort();
  const counts = kinds.map(
    (kind) => `${kind}:${Math.min(most(kind), proposals.filter((one) => one.kind === kind).length)}`,
  );
  const resolves = all.filter((s) => s.t.kind === 'resolve' && s.round === end.round);
  const agreed = proposals.filter((one) => one.stands).sort((a, b) => (a.kind < b.kind ? -1 : 1));
  // Which of several agreements of one kind is called the first must not matter.
  const said = orders(agreed)
    .filter((order) => order.every((one, i) => i === 0 || (order[i - 1]?.kind ?? '') <= one.kind))
    .map((order) => {
      const number = (hash: string | undefined): number => order.findIndex((one) => one.t.hash === hash);
      const words = resolves.map((s) => {
        const { t } = s;
        if (t.kind !== 'resolve') return '';
        return `${t.party}${t.outcome}${number(t.proposal)}${end.answers.includes(s) ? '!' : ''}`;
      });
      return [...new Set(words)].sort().join();
    })
    .sort()[0];
  const standingBits = end.standing.reduce((bits, s) => bits | s.bit, 0n);
  const firm = all
    .filter((s) => s.t.kind === 'cancel' && (s.past & standingBits) !== 0n && s.round === end.round)
    .map((s) => s.t.party);
  // These must not matter; as states of their own they are tried, not assumed.
  const lapsed = all
    .filter((s) => s.t.kind === 'settle' && (s.past & standingBits) === 0n)
    .map((s) => s.t.party);
  const over =
    end.state === 'settled' || (end.state === 'cancelled' && (end.resolved || end.cancelledBy.length === 2));
  const signature = JSON.stringify(
    over
      ? [end.state, counts.filter((one) => one.startsWith('b free'))]
      : [
          end.state,
          Math.min(1, end.round),
          counts,
          end.settledBy,
          end.cancelledBy,
          [...new Set(firm)].sort(),
          [...new Set(lapsed)].sort(),
          said,
        ],
  );
  const plain = end.round === 0;
  const named = kinds.flatMap((kind) =>
    proposals
      .filter((one) => one.kind === kind)
      .slice(0, Math.min(ALIKE, most(kind)))
      .map((one) => one.t),
  );
  return { signature, state: end.state, named, resolves: over ? 0 : resolves.length, plain };
}
