import { describe, expect, it } from 'vitest';
import { slotFor, STRANGER_LIMITS, type Stranger } from '../../../protocols/discovery/stranger-slots.ts';
import { rangeOf } from '../../../protocols/wire/address-range.ts';

const NOW = 1_000_000;
const OLD = NOW - STRANGER_LIMITS.graceMs;
let ids = 0;

function stranger(what: Partial<Stranger> = {}): Stranger {
  const id = `c${++ids}`;
  const base = { id, peerId: id, range: `r${ids}`, limited: true, direction: 'inbound' as const };
  return { ...base, openedAt: OLD, busy: false, ...what };
}
const come = (held: readonly Stranger[], what: Partial<Stranger> = {}, slots = 16) =>
  slotFor(held, stranger(what), slots, NOW);

describe('a slot for a stranger', () => {
  it('is free up to three quarters for those who come in, and up to all for those who are dialled', () => {
    const twelve = Array.from({ length: 12 }, () => stranger());
    expect(come(twelve.slice(1))).toBe('free');
    expect(come(twelve, { direction: 'outbound' })).toBe('free');
    const out = Array.from({ length: 16 }, () => stranger({ direction: 'outbound' }));
    expect(come(out, { direction: 'outbound' })).toBe('none');
    expect(come(out)).toBe('none');
  });

  it('is held for good by nobody: the oldest idle one of the most crowded range goes, after its grace', () => {
    const one = stranger({ openedAt: OLD - 50 });
    const crowd = [10, 30, 20].map((age) => stranger({ range: 'crowd', openedAt: OLD - age }));
    const rest = Array.from({ length: 8 }, () => stranger({ openedAt: OLD - 100 }));
    expect(come([one, ...crowd, ...rest])).toEqual({ evict: crowd[1]?.id });
    const busy = crowd.map((each) => ({ ...each, busy: each.id === crowd[1]?.id }));
    expect(come([one, ...busy, ...rest])).toEqual({ evict: crowd[2]?.id });
    // Busy alone is no way to stay.
    const all = Array.from({ length: 12 }, (_, n) => stranger({ busy: true, openedAt: OLD - n }));
    expect(come(all)).toEqual({ evict: all[11]?.id });
    const young = Array.from({ length: 12 }, () => stranger({ openedAt: OLD + 1 }));
    expect(come(young)).toBe('none');
  });

  it('is limited for one public range, which makes room within itself, and not for loopback', () => {
    const four = [1, 2, 3, 4].map((age) => stranger({ range: '198.51.7.0/24', openedAt: OLD - age }));
    expect(come(four, { range: '198.51.7.0/24' })).toEqual({ evict: four[3]?.id });
    expect(come(four)).toBe('free');
    const near = four.map((each) => ({ ...each, range: '127.0.0.1', limited: false }));
    expect(come(near, { range: '127.0.0.1', limited: false })).toBe('free');
    const young = four.map((each) => ({ ...each, openedAt: NOW }));
    expect(come(young, { range: '198.51.7.0/24' })).toBe('none');
  });

  it('is one of two that a peer may have', () => {
    const twice = [1, 2].map(() => stranger({ peerId: 'p' }));
    expect(come(twice, { peerId: 'p' })).toBe('none');
    expect(come(twice.slice(1), { peerId: 'p' })).toBe('free');
  });
});

it('a range is /24 or /48, and one address where many may stand behind it', () => {
  expect(rangeOf('8.8.8.8')).toEqual({ name: '8.8.8.0/24', limited: true });
  expect(rangeOf('::ffff:8.8.8.9')).toEqual({ name: '8.8.8.0/24', limited: true });
  expect(rangeOf('2a00:1450:4001:80b::200e')).toEqual({ name: '2a00:1450:4001::/48', limited: true });
  expect(rangeOf('2A00:1450:4001::1')).toEqual({ name: '2a00:1450:4001::/48', limited: true });
  expect(rangeOf('2a00::1')).toEqual({ name: '2a00:0:0::/48', limited: true });
  expect(rangeOf('127.0.0.1')).toEqual({ name: '127.0.0.1', limited: false });
  expect(rangeOf('10.0.0.7')).toEqual({ name: '10.0.0.7', limited: false });
});
