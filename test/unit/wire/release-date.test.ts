import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { clockIsCredible, RELEASED_AT } from '../../../protocols/wire/release-date.ts';

const YEAR = 365.25 * 24 * 3600 * 1000;

describe('a reading of the wall clock', () => {
  test.each([
    ['1970, as a board without a battery boots', 0, false],
    ['a minute before the release', RELEASED_AT - 60_000, false],
    ['the release itself', RELEASED_AT, true],
    ['ten years of service', RELEASED_AT + 10 * YEAR, true],
    ['forty years ahead', RELEASED_AT + 40 * YEAR, false],
    ['no number', NaN, false],
  ])('%s', (_, now, credible) => {
    expect(clockIsCredible(now)).toBe(credible);
  });

  test('of the machine that tests this release is credible', () => {
    expect(clockIsCredible(Date.now())).toBe(true);
  });

  test('the date is in the changelog', () => {
    const changelog = readFileSync(new URL('../../../CHANGELOG.md', import.meta.url), 'utf8');
    expect(changelog).toContain(`(not before ${new Date(RELEASED_AT).toISOString().slice(0, 10)})`);
  });
});
