import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AuditHead,
  type AuditLine,
  checkChain,
  lineHash,
  nextLine,
  NO_LINES,
} from '../../../protocols/audit/chain.ts';

/** A log of some lines, and its head. */
function logOf(count: number): AuditLine[] {
  const lines: AuditLine[] = [];
  let head: AuditHead = NO_LINES;
  for (let i = 0; i < count; i++) {
    const line = nextLine(
      head,
      { kind: 'contract', actor: `user${i % 3}`, note: `step ${i}`, detail: { i } },
      1000 + i,
    );
    lines.push(line);
    head = line;
  }
  return lines;
}
const headOf = (lines: readonly AuditLine[]): AuditHead => lines.at(-1) ?? NO_LINES;
const check = (lines: readonly AuditLine[], heads: readonly AuditHead[] = []) =>
  checkChain(lines, NO_LINES, heads);

describe('the audit chain', () => {
  it('is whole when nothing was done to it', async () => {
    const lines = logOf(50);
    expect(await check(lines, [headOf(lines)])).toMatchObject({ count: 50, problems: [] });
  });

  it('finds and names the line of every change, removal, insertion and cut, whatever it was', async () => {
    const lines = logOf(40);
    const head = headOf(lines);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('change', 'rehash', 'remove', 'insert', 'swap', 'cut'),
        fc.integer({ min: 0, max: 39 }),
        fc.constantFrom('actor', 'note', 'at', 'kind', 'detail'),
        async (how, at, field) => {
          const copy = lines.map((line) => ({ ...line }));
          const line = copy[at];
          if (line === undefined) throw new TypeError('no such line');
          let named = at + 1;
          if (how === 'change' || how === 'rehash') {
            Object.assign(line, {
              [field]: field === 'at' ? line.at + 1 : field === 'detail' ? { i: -1 } : 'forged',
            });
            // With its own hash made right, it is the next line that no longer follows, or the head.
            if (how === 'rehash') {
              Object.assign(line, { hash: lineHash(line) });
              named = at === 39 ? 40 : at + 2;
            }
          } else if (how === 'remove') copy.splice(at, 1);
          else if (how === 'insert') {
            copy.splice(at, 0, { ...line, note: 'put in' });
          } else if (how === 'swap') {
            const other = copy[(at + 1) % 40];
            if (other === undefined) throw new TypeError('no such line');
            copy[at] = other;
            copy[(at + 1) % 40] = line;
            named = Math.min(at, (at + 1) % 40) + 1;
          } else copy.splice(at);
          const { problems } = await check(copy, [head]);
          expect(problems.length).toBeGreaterThan(0);
          expect(problems[0]?.line).toBe(named);
        },
      ),
      { numRuns: Number(process.env['COUNT'] ?? 1000), seed: Number(process.env['SEED'] ?? 7) },
    );
  });

  it('goes on from what retention dropped', async () => {
    const lines = logOf(30);
    const base = lines[9];
    if (base === undefined) throw new TypeError('no base');
    expect(await checkChain(lines.slice(10), base, [headOf(lines)])).toMatchObject({
      count: 20,
      problems: [],
    });
    expect((await checkChain(lines.slice(11), base, [])).problems[0]).toEqual({
      line: 11,
      problem: 'missing',
    });
  });
});
