import { expect, it } from 'vitest';
import { pullSlow, steady } from '../../../protocols/wire/steady.ts';

const limits = { graceMs: 20_000, bytesPerSecond: 1000 };

/** A body of one chunk after so long: whether it is let through. */
async function takes(afterMs: number, bytes: number): Promise<boolean> {
  let now = 0;
  async function* body(): AsyncGenerator<Uint8Array> {
    now += afterMs;
    yield new Uint8Array(bytes);
  }
  try {
    for await (const chunk of steady(body(), { error: pullSlow, limits, now: () => now }))
      expect(chunk.length).toBe(bytes);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'pull-slow' });
    return false;
  }
}

it('one below, at and one above the grace', async () => {
  const { graceMs } = limits;
  expect([await takes(graceMs - 1, 1), await takes(graceMs, 1), await takes(graceMs + 1, 1)]).toEqual([
    true,
    true,
    false,
  ]);
});

it('one below, at and one above the pace', async () => {
  expect([await takes(25_000, 24_999), await takes(25_000, 25_000), await takes(25_000, 25_001)]).toEqual([
    false,
    true,
    true,
  ]);
});

it('does not hold the reader’s own slowness against the sender', async () => {
  let now = 0;
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 5; i++) yield Uint8Array.of(i);
  }
  let count = 0;
  for await (const _ of steady(body(), { error: pullSlow, limits, now: () => now })) {
    count++;
    now += 60_000;
  }
  expect(count).toBe(5);
});
