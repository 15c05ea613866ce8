import { readOp } from '../../protocols/open-dialog/read-op.ts';
import type { CheckParts, Wrong } from './check-rows.ts';
import type { Derived } from './derive-record.ts';
import { reservedNumbers } from '../../storage/op-numbers.ts';

/**
 * Rows of a record's applied changes whose numbers cannot be right: a change with a number follows every change with a smaller one, so it begins
 * above the last op of each, and no number was given that was not reserved. Which of two rows is wrong cannot be told: the larger one is named.
 */
export async function wrongNumbers(
  { level }: CheckParts['db'],
  ops: Derived['ops'],
): Promise<readonly Wrong[]> {
  const numbered = ops.flatMap(({ placed, row, number, verdict }) => {
    if (typeof number !== 'number' || verdict.state !== 'applied') return [];
    const read = readOp(placed);
    if ('problem' in read || read.reading.kind !== 'change') return [];
    const { startOp, ops: written } = read.reading.change;
    return [{ row, number, startOp, nextOp: Math.max(1, startOp + written.length - 1) + 1 }];
  });
  if (numbered.length === 0) return [];
  const reserved = await reservedNumbers(level);
  numbered.sort((a, b) => a.number - b.number || a.startOp - b.startOp);
  let before = { number: 0, nextOp: 1 };
  return numbered.flatMap((each): Wrong[] => {
    const holds = each.number > before.number && each.number <= reserved && each.startOp >= before.nextOp;
    before = { number: each.number, nextOp: Math.max(before.nextOp, each.nextOp) };
    return holds ? [] : [{ table: 'recordOps', kind: 'stale', key: each.row }];
  });
}
