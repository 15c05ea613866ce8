import type { FrontierItem } from '../feed/frontier.ts';
import type { PeerId } from '../wire/identity.ts';
import { type Rotation, ROTATION_LIMITS } from './statement.ts';

/** What decides between rotations. */
export type RotationLink = Pick<
  Rotation,
  'id' | 'node' | 'gen' | 'prev' | 'to' | 'recovery' | 'cut' | 'grantor' | 'grantorHash'
>;

/** What a holder knows besides the rotations themselves. */
export interface LineFacts {
  /** Hashes of the recovery keys that the first key has committed to: one, unless there was another commitment in its name. */
  readonly commitments: ReadonlySet<string>;
  /** Ids of recovery-signed rotations for which the operator here has decided. */
  readonly approved: ReadonlySet<string>;
}

/** A frontier up to which entries of a key count. */
export type Cut = readonly FrontierItem[];

/** A key of a node. Of what it signed counts what is within every cut; without any, all of it. */
export interface LineKey {
  readonly key: PeerId;
  readonly cuts: readonly Cut[];
}

/**
 * `whole`: the last key speaks for the node. `frozen`: it has signed rivals of equal rank, and nobody speaks for the node until the recovery
 * key does. `contested`: the recovery key has signed rivals, and operators decide.
 */
export type LineState = 'whole' | 'frozen' | 'contested';

/** The keys of a node, the oldest first. */
export interface Line {
  readonly node: PeerId;
  readonly state: LineState;
  readonly keys: readonly LineKey[];
  /** The key that speaks for the node now; undefined unless the line is whole. */
  readonly newest: PeerId | undefined;
  /** Ids of the rotations in force, by gen. */
  readonly rotations: readonly string[];
  /** Ids of what only an operator can decide for, ascending. */
  readonly undecided: readonly string[];
}

/** Where a rotation may follow. */
interface Step {
  readonly key: PeerId;
  readonly prev: string | undefined;
  readonly gen: number;
  readonly commitments: ReadonlySet<string>;
  /** There are two first commitments: what a recovery key signs has effect by the operator's decision alone. */
  readonly disputed: boolean;
  /** Keys of the line so far, none of which comes back. */
  readonly used: ReadonlySet<PeerId>;
}

type Rank = 'recovery' | 'node';

/**
 * The line of a node: a pure function of the set of its rotations, in whatever order they came. From the first key on, of the rotations that
 * may follow, a recovery-signed one goes before all node-signed ones and what follows them; where two are equal, the line ends.
 */
export function lineOf<T extends RotationLink>(node: PeerId, held: Iterable<T>, facts: LineFacts): Line {
  const children = childrenOf(node, held);
  const keys: LineKey[] = [];
  const rotations: string[] = [];
  let step = firstStep(node, facts);
  for (;;) {
    const { rank, rivals, undecided } = followersOf(step, children.get(step.prev) ?? [], facts);
    const [chosen] = rivals;
    keys.push({ key: step.key, cuts: cutsOf(rivals) });
    const soFar = { node, keys, rotations };
    if (chosen === undefined) return { ...soFar, state: 'whole', newest: step.key, undecided };
    if (rivals.length > 1) return { ...soFar, ...halted(rank, rivals, undecided), newest: undefined };
    rotations.push(chosen.id);
    step = stepAfter(step, chosen, rank);
  }
}

/** Why a rotation is not kept: `known`; its predecessor is not in force here (`gap`); its signer may not (`unsigned`); too many rivals (`rivals`). */
export type NotKept = 'known' | 'gap' | 'unsigned' | 'rivals';

/**
 * The rotations to keep when one more arrives, or why it is not kept. What is kept has a bound, whoever signs how many: the line in force,
 * and at each of its steps one rival of each rank more than are told apart. Whoever has another line in force sends it, oldest first, so that
 * holders of the same rotations end with the same line.
 */
export function withRotation<T extends RotationLink>(
  node: PeerId,
  held: readonly T[],
  more: T,
  facts: LineFacts,
): readonly T[] | NotKept {
  const step = stepBefore(node, held, more, facts);
  if (step === undefined) return 'gap';
  const rank = rankAt(step, more);
  if (rank === undefined) return 'unsigned';
  const beside = held.filter((each) => each.prev === more.prev && rankAt(step, each) === rank);
  // One statement may be granted by both keys, and each grant has its own rank.
  if (beside.some(({ id }) => id === more.id)) return 'known';
  if (beside.length <= ROTATION_LIMITS.rivals) return [...held, more];
  const last = lastBy(facts, [...beside, more]);
  return last === more ? 'rivals' : [...held.filter((each) => each !== last), more];
}

/** Of rivals beyond what is told apart, the one that is let go: the highest id, of those that nobody has decided for. */
function lastBy<T extends RotationLink>({ approved }: LineFacts, rivals: readonly T[]): T | undefined {
  return rivals
    .filter(({ id }) => !approved.has(id))
    .reduce<T | undefined>(
      (last, each) => (last === undefined || each.id > last.id ? each : last),
      undefined,
    );
}

/** The step of the line in force that a rotation would follow; undefined when there is none. */
function stepBefore<T extends RotationLink>(
  node: PeerId,
  held: readonly T[],
  more: T,
  facts: LineFacts,
): Step | undefined {
  if (more.node !== node) return undefined;
  const children = childrenOf(node, held);
  let step = firstStep(node, facts);
  while (step.prev !== more.prev) {
    const { rank, rivals } = followersOf(step, children.get(step.prev) ?? [], facts);
    const [chosen] = rivals;
    if (chosen === undefined || rivals.length > 1) return undefined;
    step = stepAfter(step, chosen, rank);
  }
  return step.gen === more.gen ? step : undefined;
}

function childrenOf<T extends RotationLink>(node: PeerId, held: Iterable<T>): Map<string | undefined, T[]> {
  const children = new Map<string | undefined, T[]>();
  for (const each of held) {
    if (each.node !== node) continue;
    const beside = children.get(each.prev);
    if (beside === undefined) children.set(each.prev, [each]);
    else beside.push(each);
  }
  return children;
}

function firstStep(node: PeerId, { commitments }: LineFacts): Step {
  const disputed = commitments.size > 1;
  return { key: node, prev: undefined, gen: 1, commitments, disputed, used: new Set([node]) };
}

function stepAfter(before: Step, { id, to, recovery }: RotationLink, rank: Rank): Step {
  return {
    key: to,
    prev: id,
    gen: before.gen + 1,
    commitments: new Set([recovery]),
    disputed: before.disputed && rank === 'node',
    used: new Set([...before.used, to]),
  };
}

/**
 * Who signed a rotation, where it may follow; undefined when it may not. The key before repeats the commitment, so that whoever has stolen
 * it cannot take away the recovery key; where the first key has committed to two, it could commit to a third as well.
 */
function rankAt(step: Step, { gen, to, recovery, grantor, grantorHash }: RotationLink): Rank | undefined {
  if (gen !== step.gen || step.used.has(to)) return undefined;
  if (step.commitments.has(grantorHash)) return 'recovery';
  const repeats = step.commitments.has(recovery) || step.commitments.size > 1;
  return grantor === step.key && repeats ? 'node' : undefined;
}

/** Of the rotations that may follow, the ones of the highest rank, each once, ascending by id. */
function followersOf<T extends RotationLink>(
  step: Step,
  children: readonly T[],
  { approved }: LineFacts,
): { readonly rank: Rank; readonly rivals: readonly T[]; readonly undecided: readonly string[] } {
  const ranked = { recovery: new Map<string, T>(), node: new Map<string, T>() };
  for (const each of children) {
    const rank = rankAt(step, each);
    if (rank !== undefined) ranked[rank].set(each.id, each);
  }
  const signed = [...ranked.recovery.values()];
  const decided = signed.filter(({ id }) => approved.has(id));
  const effective = step.disputed || decided.length === 1 ? decided : signed;
  const rank = effective.length > 0 ? 'recovery' : 'node';
  const rivals = rank === 'recovery' ? effective : [...ranked.node.values()];
  const undecided = step.disputed && decided.length === 0 ? signed.map(({ id }) => id).sort() : [];
  return { rank, rivals: [...rivals].sort((a, b) => (a.id < b.id ? -1 : 1)), undecided };
}

/** Up to where the key counts that these follow; where there are more than are told apart, nothing of it does. */
function cutsOf(rivals: readonly RotationLink[]): readonly Cut[] {
  return rivals.length > ROTATION_LIMITS.rivals ? [[]] : rivals.map(({ cut }) => cut);
}

function halted(
  rank: Rank,
  rivals: readonly RotationLink[],
  undecided: readonly string[],
): Pick<Line, 'state' | 'undecided'> {
  if (rank === 'node') return { state: 'frozen', undecided };
  return { state: 'contested', undecided: rivals.map(({ id }) => id) };
}
