import type { LineFacts, RotationLink } from '../../protocols/rotation/line.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';

/**
 * Section 10.6 of the specification once more, written from its text and not from the code: for each statement alone, by all the others,
 * whether it is in force. Slow and without any order.
 */
export class RotationModel {
  readonly #all: readonly RotationLink[];
  readonly #node: PeerId;
  readonly #facts: LineFacts;
  #made: readonly string[] | undefined;

  constructor(node: PeerId, all: readonly RotationLink[], facts: LineFacts) {
    this.#node = node;
    this.#all = all;
    this.#facts = facts;
  }

  /** The ids in force, by gen. */
  inForce(): readonly string[] {
    this.#made ??= this.#decide();
    return this.#made;
  }

  #decide(): string[] {
    const ids = new Set(this.#all.filter((each) => this.#isInForce(each)).map(({ id }) => id));
    const genOf = (id: string): number => this.#named(id)?.gen ?? 0;
    return [...ids].sort((a, b) => genOf(a) - genOf(b));
  }

  /** Whether an entry of a key at a place of an epoch has effect. */
  counts(key: PeerId, epoch: string, seq: number): boolean {
    const made = this.inForce();
    const prev = key === this.#node ? undefined : made.find((id) => this.#named(id)?.to === key);
    if (key !== this.#node && prev === undefined) return false;
    const rivals = this.#rivals(prev);
    if (rivals.length > 8) return false;
    return rivals.every((id) => this.#named(id)?.cut.some((item) => item.epoch === epoch && item.seq >= seq));
  }

  /** Who speaks for the node. */
  newest(): PeerId | undefined {
    const last = this.inForce().at(-1);
    return this.#rivals(last).length > 0
      ? undefined
      : last === undefined
        ? this.#node
        : this.#named(last)?.to;
  }

  #named(id: string): RotationLink | undefined {
    return this.#all.find((each) => each.id === id);
  }

  #ancestors({ prev }: Pick<RotationLink, 'prev'>): RotationLink[] {
    const parent = prev === undefined ? undefined : this.#named(prev);
    return parent === undefined ? [] : [...this.#ancestors(parent), parent];
  }

  #signedBy(each: RotationLink, who: 'recovery' | 'key'): boolean {
    const before = this.#ancestors(each);
    if (each.gen !== before.length + 1 || (each.prev !== undefined && before.length === 0)) return false;
    if ([this.#node, ...before.map(({ to }) => to)].includes(each.to)) return false;
    const parent = before.at(-1);
    const committed = parent === undefined ? [...this.#facts.commitments] : [parent.recovery];
    const byRecovery = committed.includes(each.grantorHash);
    if (who === 'recovery') return byRecovery;
    const repeats = committed.includes(each.recovery) || committed.length > 1;
    return !byRecovery && each.grantor === (parent?.to ?? this.#node) && repeats;
  }

  /** What follows a statement, or the first key, that nothing goes before. */
  #rivals(prev: string | undefined): string[] {
    const beside = this.#all.filter((each) => each.prev === prev);
    const ids = (who: 'recovery' | 'key'): string[] => [
      ...new Set(beside.filter((each) => this.#signedBy(each, who)).map(({ id }) => id)),
    ];
    const recovered = ids('recovery');
    const decided = recovered.filter((id) => this.#facts.approved.has(id));
    const line = prev === undefined ? [] : [...this.#ancestors({ prev })].concat(this.#named(prev) ?? []);
    const unsettled = this.#facts.commitments.size > 1 && !line.some((each) => this.#isByRecovery(each.id));
    const first = unsettled || decided.length === 1 ? decided : recovered;
    return first.length > 0 ? first : ids('key');
  }

  /** Whether a statement is in force because the recovery key signed it. */
  #isByRecovery(id: string): boolean {
    const granted = this.#all.filter((each) => each.id === id && this.#signedBy(each, 'recovery'));
    const needsDecision = this.#facts.commitments.size > 1;
    const [each] = granted;
    if (each === undefined) return false;
    const before = this.#ancestors(each);
    return (
      !needsDecision || this.#facts.approved.has(id) || before.some((other) => this.#isByRecovery(other.id))
    );
  }

  #isInForce(each: RotationLink): boolean {
    const { prev } = each;
    const parent = prev === undefined ? undefined : this.#named(prev);
    if (prev !== undefined && (parent === undefined || !this.#isInForce(parent))) return false;
    const rivals = this.#rivals(prev);
    return rivals.length === 1 && rivals[0] === each.id;
  }
}
