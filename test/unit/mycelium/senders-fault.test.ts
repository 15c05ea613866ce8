import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { isSendersFault } from '../../../protocols/senders-fault.ts';

const specification = readFileSync(new URL('../../../protocols/README.md', import.meta.url), 'utf8');
/** The codes of a row of the registry, by what it says of them. */
const row = (what: string): string[] => {
  const line = specification.split('\n').find((each) => each.startsWith('| `') && each.includes(what));
  return [...(line?.split(' | ')[0]?.matchAll(/`([a-z-]+)`/g) ?? [])].map(([, code = '']) => code);
};

it('whoever sends what admission rejects is to blame, whichever way it comes', () => {
  const rejected = row('| admission, reject |');
  expect(rejected.length).toBeGreaterThan(8);
  expect(rejected.filter((code) => !isSendersFault(code))).toEqual([]);
});

it('nobody is to blame for what depends on this node: its registry, its disk, its faults', () => {
  const ignored = row('| admission, ignore |');
  expect(ignored.length).toBeGreaterThan(8);
  const own = [
    'disk-full',
    'storage-failed',
    'internal',
    'settings-invalid',
    'token-invalid',
    'value-damaged',
  ];
  expect([...ignored, ...own].filter(isSendersFault)).toEqual([]);
});
