import type { LineFacts, RotationLink } from '../../protocols/rotation/line.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';

/** Everything that holders of a node's keys and thieves of them have signed, and what there is to know besides. */
export interface RotationHistory {
  readonly node: PeerId;
  readonly signed: readonly RotationLink[];
  readonly facts: LineFacts;
  /** Keys and epochs that entries are tried with. */
  readonly keys: readonly PeerId[];
  readonly epochs: readonly string[];
}

const keyNamed = (name: string): PeerId => name as PeerId;
const KEYS = ['k0', 'k1', 'k2', 'k3', 'k4', 'stranger'].map(keyNamed);
const RECOVERY = ['r0', 'r1', 'r2'].map((name) => ({ key: keyNamed(name), hash: sha256Hex(name) }));
const EPOCHS = ['e1', 'e2', 'e3'];

/** One history drawn by `random`, numbers in [0, 1). Signatures are taken for granted: who signed is a field. */
export function drawRotations(random: () => number): RotationHistory {
  const below = (count: number): number => Math.floor(random() * count);
  const of = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const [node] = KEYS as [PeerId];
  const signed: RotationLink[] = [];
  const [first] = RECOVERY as [(typeof RECOVERY)[number]];
  const commitments = new Set(
    random() < 0.75 ? [first.hash] : RECOVERY.slice(below(2)).map(({ hash }) => hash),
  );
  const flood = random() < 0.05;
  const count = flood ? 9 + below(6) : below(12);
  for (let i = 0; i < count; i++) {
    const again = random() < 0.15 && signed.length > 0 ? of(signed) : undefined;
    const parent =
      again === undefined
        ? random() < (flood ? 0.9 : 0.35)
          ? undefined
          : of([undefined, ...signed])
        : undefined;
    const committed = parent?.recovery ?? of([...commitments]);
    const said = again ?? {
      node,
      gen: (parent?.gen ?? 0) + (random() < 0.97 ? 1 : 2),
      prev: parent?.id,
      to: of(KEYS),
      recovery: random() < 0.8 ? committed : of(RECOVERY).hash,
      cut: EPOCHS.filter(() => flood || random() < 0.7).map((epoch) => ({
        epoch,
        seq: (flood ? 3 : 1) + below(flood ? 50 : 4),
        hash: '',
      })),
    };
    const granted = grantOf(said, signed, committed);
    signed.push({ ...said, ...granted, id: idOf(said) });
  }
  const approved = new Set(signed.filter(() => random() < 0.1).map(({ id }) => id));
  return { node, signed, facts: { commitments, approved }, keys: KEYS, epochs: EPOCHS };

  function grantOf(
    { prev }: Pick<RotationLink, 'prev'>,
    before: readonly RotationLink[],
    committed: string,
  ): Pick<RotationLink, 'grantor' | 'grantorHash'> {
    const kind = flood ? 0.3 + random() * 0.65 : random();
    const recovery = RECOVERY.find(({ hash }) => hash === committed) ?? first;
    if (kind < 0.3) return { grantor: recovery.key, grantorHash: recovery.hash };
    const key = before.find(({ id }) => id === prev)?.to ?? node;
    const grantor = kind < 0.92 ? key : of(KEYS);
    return { grantor, grantorHash: sha256Hex(grantor) };
  }
}

/** The statement decides, whoever granted it. */
function idOf({
  gen,
  prev,
  to,
  recovery,
  cut,
}: Omit<RotationLink, 'id' | 'grantor' | 'grantorHash'>): string {
  return sha256Hex(JSON.stringify([gen, prev, to, recovery, cut]));
}

/** The same in another order. */
export function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const drawn = list.map((each) => ({ each, at: random() }));
  return drawn.sort((a, b) => a.at - b.at).map(({ each }) => each);
}
