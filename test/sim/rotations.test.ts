import { expect, test } from 'vitest';
import {
  type Line,
  type LineFacts,
  lineOf,
  type RotationLink,
  withRotation,
} from '../../protocols/rotation/line.ts';
import { isWithin, rootsOf } from '../../protocols/rotation/roots.ts';
import { seededRandom } from '../support/random.ts';
import { drawRotations, type RotationHistory, shuffled } from '../support/rotation-histories.ts';
import { RotationModel } from '../support/rotation-model.ts';

const COUNT = Number(process.env.COUNT ?? 2000);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000));

/** One holder, which hears of rotations one by one. */
class Holder {
  held: readonly RotationLink[] = [];
  readonly #node: RotationHistory['node'];

  constructor(node: RotationHistory['node']) {
    this.#node = node;
  }

  hear(more: readonly RotationLink[], facts: LineFacts): boolean {
    let grew = false;
    for (const each of more) {
      const kept = withRotation(this.#node, this.held, each, facts);
      if (typeof kept === 'string') continue;
      this.held = kept;
      grew = true;
    }
    return grew;
  }
}

const covered = (cut: Line['keys'][number]['cuts'][number], epoch: string): number =>
  cut.find((item) => item.epoch === epoch)?.seq ?? 0;

/** Which entries count, as the code decides it. */
function countsIn(line: Line, key: string, epoch: string, seq: number): boolean {
  const rooted = [...rootsOf([line]).values()].find((each) => each.key === key);
  return rooted !== undefined && isWithin(rooted.cuts, { epoch, seq }, covered);
}

/** What three holders, each cut off from much of it at first, come to. */
function partition({ node, signed, facts }: RotationHistory, random: () => number): Line[] {
  const few: LineFacts = {
    commitments: new Set([...facts.commitments].filter((_, i) => i === 0)),
    approved: new Set(),
  };
  return [1, 2, 3].map(() => {
    const holder = new Holder(node);
    holder.hear(
      shuffled(signed, random).filter(() => random() < 0.6),
      random() < 0.5 ? few : facts,
    );
    // The partition ends: everybody tells all, again and again, until nobody has anything new.
    for (let round = 0; holder.hear(shuffled(signed, random), facts); round++)
      if (round > 100) throw new Error('holders go on telling each other something new');
    return lineOf(node, holder.held, facts);
  });
}

interface Seen {
  entries: number;
  refused: number;
  readonly states: Record<string, number>;
}

function tryOne(seed: number, seen: Seen): void {
  const random = seededRandom(seed);
  const history = drawRotations(random);
  const { node, signed, facts, keys, epochs } = history;
  const model = new RotationModel(node, signed, facts);
  const whole = lineOf(node, signed, facts);
  const lines = [whole, ...partition(history, random)];
  for (const { rotations, newest } of lines)
    expect({ seed, rotations, newest }).toEqual({ seed, rotations: model.inForce(), newest: model.newest() });
  seen.states[whole.state] = (seen.states[whole.state] ?? 0) + 1;
  for (const key of keys)
    for (const epoch of epochs)
      for (const seq of [1, 2, 3, 4, 5]) {
        const should = model.counts(key, epoch, seq);
        seen.entries++;
        if (!should) seen.refused++;
        if (lines.some((line) => countsIn(line, key, epoch, seq) !== should))
          throw new Error(`COUNT=1 SEED=${seed}: ${key} ${epoch} ${seq} should ${should ? '' : 'not '}count`);
      }
}

test('in whatever order rotations come, and whoever was cut off, the same keys count as far as the same places', () => {
  const seen: Seen = { entries: 0, refused: 0, states: {} };
  for (let i = 0; i < COUNT; i++) tryOne(SEED + i, seen);
  console.info(`rotations from seed ${SEED}: ${JSON.stringify(seen)}`);
  expect(seen.refused).toBeGreaterThan(COUNT);
  if (COUNT >= 1000) expect(Object.keys(seen.states).sort()).toEqual(['contested', 'frozen', 'whole']);
}, 900_000);
