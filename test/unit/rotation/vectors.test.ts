import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { lineOf } from '../../../protocols/rotation/line.ts';
import { type RotationStatement, verifyRotation } from '../../../protocols/rotation/statement.ts';
import { fromHex } from '../../../protocols/wire/bytes.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { outcomeOf } from '../../support/vectors/outcome.ts';
import { shownLine } from '../../support/vectors/rotations.ts';

/** What stands in the file, as any other implementation reads it. */
interface Vectors {
  readonly net: string;
  readonly statements: {
    readonly statement: Omit<RotationStatement, 'prev'> & { readonly prev: null };
    readonly id: string;
    readonly grantor: PeerId;
    readonly judged: readonly { readonly name: string; readonly bytes: string; readonly outcome: string }[];
  };
  readonly lines: readonly {
    readonly name: string;
    readonly rotations: readonly string[];
    readonly commitments: readonly string[];
    readonly approved: readonly string[];
    readonly line: { readonly node: PeerId; readonly state: string };
  }[];
}
const file = new URL('../../../protocols/vectors.json', import.meta.url);
const { rotations: vectors } = JSON.parse(readFileSync(file, 'utf8')) as { rotations: Vectors };

it('the statement of the first vector', () => {
  const [first] = vectors.statements.judged;
  const read = verifyRotation(fromHex(first?.bytes ?? ''), vectors.net);
  const { id, grantor, statement } = vectors.statements;
  expect(read).toMatchObject({ ...statement, prev: undefined, id, grantor });
});

it.each(vectors.statements.judged)('$name: $outcome', ({ bytes, outcome }) => {
  expect(outcomeOf(() => verifyRotation(fromHex(bytes), vectors.net))).toBe(outcome);
});

it.each(vectors.lines)('$name: $line.state', ({ rotations, commitments, approved, line }) => {
  const held = rotations.map((bytes) => verifyRotation(fromHex(bytes), vectors.net));
  const facts = { commitments: new Set(commitments), approved: new Set(approved) };
  for (const order of [held, held.toReversed()])
    expect(shownLine(lineOf(line.node, order, facts))).toEqual(line);
});
