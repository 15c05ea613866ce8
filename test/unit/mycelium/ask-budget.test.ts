import { streamPair } from '@libp2p/utils';
import { expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { OWN_COVERAGE } from '../../../protocols/digest/coverage.ts';
import { AskBudget } from '../../../protocols/mycelium/ask-budget.ts';
import { EXCHANGE_LIMITS } from '../../../protocols/mycelium/exchanges.ts';
import { encodeOpening } from '../../../protocols/mycelium/frontier-digest.ts';
import { FRONTIER_LIMITS, FrontierProtocol } from '../../../protocols/mycelium/frontier-exchange.ts';
import { FrontierView } from '../../../protocols/mycelium/frontier-view.ts';
import { FramedStream } from '../../../protocols/wire/framed-stream.ts';
import type { StreamHandler } from '../../../protocols/wire/stream.ts';
import { seededRandom } from '../../support/random.ts';

const { askBurst, askEveryMs, askPages } = FRONTIER_LIMITS;

function budget(): { readonly at: { now: number }; readonly asked: AskBudget } {
  const at = { now: 0 };
  return { at, asked: new AskBudget(FRONTIER_LIMITS, { monotonic: () => at.now }) };
}

it('askBurst questions are answered at once, and one more after each askEveryMs', () => {
  const { at, asked } = budget();
  const answered = (n: number): number =>
    Array.from({ length: n }, () => asked.take('liar')).filter(Boolean).length;
  expect(answered(askBurst - 1)).toBe(askBurst - 1);
  expect([answered(1), answered(1)]).toEqual([1, 0]);
  at.now += askEveryMs - 1;
  expect(answered(1)).toBe(0);
  at.now += 1;
  expect(answered(2)).toBe(1);
  expect(asked.take('honest'), 'others are none of its business').toBe(true);
  at.now += 10 * askBurst * askEveryMs;
  expect(answered(2 * askBurst)).toBe(askBurst);
});

it('askPages pages cost as much as a question, also those beyond what is left', () => {
  const { at, asked } = budget();
  for (let i = 0; i < askBurst; i++) asked.take('liar');
  asked.charge('liar', askPages);
  at.now += 2 * askEveryMs - 1;
  expect(asked.take('liar')).toBe(false);
  at.now += 1;
  expect(asked.take('liar')).toBe(true);
});

it('never meets a peer that asks as often as it ever has to: over lost announcements, lines that flap, and rounds', () => {
  const { at, asked } = budget();
  const random = seededRandom(6);
  const times: number[] = [];
  const hour = 3_600_000;
  for (let t = 0; t < hour; t += EXCHANGE_LIMITS.everyMs * (0.5 + random())) times.push(t);
  for (let t = 0; t < hour; t += EXCHANGE_LIMITS.missedMs) times.push(t);
  // Ten connections within a minute, each greeted as often as that is tried.
  for (let n = 0; n < 10; n++)
    for (let i = 0; i < EXCHANGE_LIMITS.greetings; i++)
      times.push(hour / 2 + n * 6000 + i * EXCHANGE_LIMITS.greetAgainMs);
  for (const t of times.sort((a, b) => a - b)) {
    at.now = t;
    expect(asked.take('honest')).toBe(true);
    // One that really differs, as after a day of absence.
    if (random() < 0.02) asked.charge('honest', 16);
  }
});

it('a peer that asks again at each answer is answered no oftener than that, and whoever else asks is answered meanwhile', async () => {
  let handler: StreamHandler | undefined;
  let compared = 0;
  const protocol = new FrontierProtocol(
    {
      env: systemEnv,
      libp2p: {
        handle: async (name, given) => {
          if (name.endsWith('/2')) handler = given;
        },
        unhandle: async () => undefined,
        getConnections: () => [],
      },
      access: { mayReplicate: () => true, mayHold: () => true },
      frontierFor: () => [],
      viewFor: async () => {
        compared++;
        return new FrontierView([]);
      },
      onFrontier: async () => undefined,
      onFailure: () => undefined,
    },
    'test',
  );
  await protocol.start();
  const opening = encodeOpening({ knows: OWN_COVERAGE, root: new FrontierView([]).root });
  const soon = (): AbortSignal => AbortSignal.timeout(10_000);
  const ask = async (peer: string): Promise<boolean> => {
    const [ours, theirs] = await streamPair();
    const told = handler?.(theirs, { remotePeer: { toString: () => peer } } as never);
    const frames = new FramedStream(ours, { maxFrame: 65_536 });
    try {
      await frames.write(opening, soon());
      return (await frames.read(soon())) !== null;
    } catch {
      return false;
    } finally {
      await frames.close(soon()).catch(() => undefined);
      await told;
    }
  };
  const started = systemEnv.monotonic();
  let answered = 0;
  for (let i = 0; i < 5 * askBurst; i++) if (await ask('liar')) answered++;
  const regained = Math.ceil((systemEnv.monotonic() - started) / askEveryMs);
  expect(answered).toBeGreaterThanOrEqual(askBurst);
  expect(answered).toBeLessThanOrEqual(askBurst + regained);
  expect(compared).toBe(answered);
  expect(await ask('honest')).toBe(true);
});
