import { expect, it } from 'vitest';
import { HandClock } from '../../support/hand-clock.ts';
import { pullSlow, steady } from '../../../protocols/wire/steady.ts';

const limits = { graceMs: 20_000, bytesPerSecond: 1000 };

/** A body of one chunk after so long: whether it is let through. */
async function takes(afterMs: number, bytes: number): Promise<boolean> {
  const clock = new HandClock();
  async function* body(): AsyncGenerator<Uint8Array> {
    await clock.pass(afterMs);
    yield new Uint8Array(bytes);
  }
  try {
    for await (const chunk of steady(body(), { error: pullSlow, limits, env: clock.env }))
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
  const clock = new HandClock();
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 5; i++) yield Uint8Array.of(i);
  }
  let count = 0;
  for await (const _ of steady(body(), { error: pullSlow, limits, env: clock.env })) {
    count++;
    await clock.pass(60_000);
  }
  expect(count).toBe(5);
});

it('does not hold it against the sender that this process stood still', async () => {
  const clock = new HandClock();
  let stood = 0;
  const env = { ...clock.env, monotonic: () => clock.env.monotonic() + stood };
  async function* body(): AsyncGenerator<Uint8Array> {
    await clock.pass(1500);
    stood += 3_600_000; // no timer is called meanwhile
    await clock.pass(1500);
    yield new Uint8Array(1);
  }
  let count = 0;
  for await (const chunk of steady(body(), { error: pullSlow, limits, env })) count += chunk.length;
  expect(count).toBe(1);
});
