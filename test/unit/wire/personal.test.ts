import { expect, it } from 'vitest';
import { withoutPersonalText } from '../../../protocols/wire/personal.ts';

const nested = (depth: number, inner: string): string => '['.repeat(depth) + inner + ']'.repeat(depth);

it('goes through JSON of any depth, and no deeper than anybody reads', () => {
  for (const depth of [1, 63, 64, 65, 4096, 32_000])
    expect(withoutPersonalText(nested(depth, '"quiet"'))).toBe(nested(depth, '"quiet"'));
  for (const depth of [1, 10, 62])
    expect(withoutPersonalText(nested(depth, '{"email":"a@b","n":1}'))).toBe(nested(depth, '{"n":1}'));
  for (const depth of [64, 65, 4096, 32_000]) {
    const kept = withoutPersonalText(nested(depth, '{"email":"a@b","n":1}'));
    expect(kept).not.toContain('a@b');
    expect(() => JSON.parse(kept) as unknown).not.toThrow();
    const escaped = withoutPersonalText(nested(depth, '{"\\u0065mail":"a@b"}'));
    expect(escaped).not.toContain('a@b');
  }
});
