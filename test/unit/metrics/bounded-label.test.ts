import { expect, it } from 'vitest';
import { boundedLabel } from '../../../daemon/metrics/bounded-label.ts';

/** How often each value comes of these names. */
function counted(label: (name: string) => string, names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names.map(label)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

it('has so many values and no more', () => {
  const names = Array.from({ length: 1000 }, (_, i) => `code-${i}`);
  const label = boundedLabel({ most: 3 });
  expect(counted(label, [...names, 'code-1', 'code-1'])).toEqual(
    new Map([
      ['code-0', 1],
      ['code-1', 3],
      ['code-2', 1],
      ['other', 997],
    ]),
  );
});

it('takes what is not known for other', () => {
  const label = boundedLabel({ known: new Set(['accept']) });
  expect(counted(label, ['accept', 'made-up', '__proto__'])).toEqual(
    new Map([
      ['accept', 1],
      ['other', 2],
    ]),
  );
});
