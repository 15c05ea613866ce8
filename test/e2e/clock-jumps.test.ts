import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DoctorReport } from '../../api/ports/doctor.ts';
import { fakeClock, faketimeLacking } from '../support/faketime.ts';
import { ProcessFederation, type ProcessMember, sameDigest } from '../support/federation.ts';
import { waitFor } from '../support/wait.ts';

const lacking = faketimeLacking();
const MINUTE = 60_000;
/** How long it stays wrong, milliseconds: a share of a minute, `HOLD_MS=60000` for all of it. */
const HOLD_MS = Number(process.env['HOLD_MS'] ?? 2000);
/** No wait that a job may be given is longer. */
const LONGEST_WAIT = 24 * 60 * MINUTE;

interface Shown {
  readonly listingId: string;
  readonly createdAt: string;
  readonly updatedAt: string;
}

describe.skipIf(lacking !== undefined)(
  `a real daemon whose wall clock jumps${lacking === undefined ? '' : ` (${lacking})`}`,
  () => {
    const clock = fakeClock();
    const federation = new ProcessFederation();
    let here: ProcessMember;
    let there: ProcessMember;
    let key = '';
    let keyId = '';

    beforeAll(async () => {
      here = await federation.add(clock.env);
      there = await federation.add();
      await federation.registerAll();
      const issued = await here.json<{ key: string; id: string }>('POST', '/api/keys', {
        userId: 'amina',
        scopes: ['read', 'write'],
        expiresIn: 3600,
      });
      ({ key, id: keyId } = issued);
      await here.json('PUT', '/listings/maize', { type: 'offer', title: 'before', quantity: 0 });
      await sameDigest([here, there], 30_000);
    }, 120_000);
    afterAll(async () => {
      await federation.close();
      clock.remove();
    });

    const steps = (): number => here.output().split('the clock of this machine was set').length - 1;
    /** Sets the clock and waits until the daemon has seen it, by its own look. */
    async function jump(offset: string): Promise<void> {
      const before = steps();
      clock.set(offset);
      await waitFor('the daemon to see it', () => steps() > before, 20_000);
    }
    const write = async (title: string): Promise<Shown> =>
      here.json<Shown>('POST', '/listings', { type: 'offer', title });
    const off = (at: string): number => Math.abs(Date.parse(at) - Date.now());

    it.each([
      ['+40y', false],
      ['-56y', false],
      ['+3h', true],
      ['-3h', true],
    ] as const)(
      '%s, and back: stamps, jobs, snapshots, keys and the peer are right again',
      async (offset, credible) => {
        await jump(offset);
        const end = performance.now() + HOLD_MS;
        await waitFor(
          'the minute to be over',
          async () => (await write('meanwhile')) && performance.now() > end,
          HOLD_MS + 20_000,
        );
        // What it is asked for meanwhile is done, and dated as well as can be.
        const meanwhile = await write(`while it was ${offset}`);
        if (!credible) expect(off(meanwhile.createdAt)).toBeLessThan(2 * MINUTE);
        const keyMeanwhile = await here.request('POST', '/api/keys', { userId: 'late', scopes: ['read'] });
        expect(keyMeanwhile.status).toBe(credible ? 201 : 503);
        await here.request('GET', '/federation/sync');
        await here.request('POST', '/trends/snapshots', {});
        if (!credible)
          expect((await here.json<{ degraded: string[] }>('GET', '/ready')).degraded.join()).toMatch(/clock/);

        await jump('+0');
        const after = await write(`after ${offset}`);
        expect(off(after.createdAt), after.createdAt).toBeLessThan(2 * MINUTE);
        const again = await here.json<Shown>('PUT', '/listings/maize', {
          type: 'offer',
          title: `again after ${offset}`,
          quantity: 1,
        });
        expect(off(again.updatedAt), again.updatedAt).toBeLessThan(2 * MINUTE);

        // The key of an hour has neither ended nor become one of decades.
        const withKey = await fetch(`${here.url}/listings`, {
          method: 'POST',
          headers: { 'x-api-key': key, 'content-type': 'application/json' },
          body: JSON.stringify({ type: 'offer', title: `by key after ${offset}` }),
        });
        expect(withKey.status, await withKey.text()).toBe(201);
        const { keys } = await here.json<{ keys: { id: string; expiresAt: string }[] }>(
          'GET',
          '/api/keys?userId=amina',
        );
        const expiry = Date.parse(keys.find(({ id }) => id === keyId)?.expiresAt ?? '');
        expect(expiry - Date.now()).toBeLessThan(3600_000);
        expect(expiry - Date.now()).toBeGreaterThan(30 * MINUTE);

        // No job waits for 2066, and a sync that is asked for now is done.
        const { jobs } = await here.json<{ jobs: { runAt: string }[] }>('GET', '/jobs?limit=100');
        for (const { runAt } of jobs)
          expect(Date.parse(runAt) - Date.now(), runAt).toBeLessThan(LONGEST_WAIT);
        const { job } = await here.json<{ job: { id: string } }>('POST', '/federation/pull', {
          sourceUrl: there.url,
        });
        await waitFor(
          'the sync to be done',
          async () => {
            const { state } = await here.json<{ state: string }>('GET', `/jobs/${job.id}`);
            return state === 'completed';
          },
          30_000,
        );

        // A snapshot is dated now.
        await here.json('POST', '/prices', {
          date: '2026-11-01',
          market: `Wakulima ${offset}`,
          commodity: 'Maize',
          unit: 'KG',
          currency: 'KES',
          price: 50,
          priceType: 'Retail',
        });
        const { trendId } = await here.json<{ trendId: string | null }>('POST', '/trends/snapshots', {});
        if (trendId !== null) {
          const { publishedAt } = await here.json<{ publishedAt: string }>(
            'GET',
            `/trends/snapshots/${trendId}`,
          );
          expect(off(publishedAt), publishedAt).toBeLessThan(2 * MINUTE);
        }

        await sameDigest([here, there], 30_000);
        const report = await here.json<DoctorReport>('GET', '/doctor');
        // Coming back from behind is a step forward, which is not believed at once.
        const told = report.findings.flatMap(({ check, id }) => (check === 'clock' ? [id] : []));
        expect(told).toEqual(offset === '-3h' ? ['clock-set-ahead'] : []);
        expect((await here.json<{ degraded: string[] }>('GET', '/ready')).degraded).toEqual([]);
      },
      120_000 + HOLD_MS,
    );

    it('starts again as if nothing had been, and goes on with its peer', async () => {
      expect(await here.stop()).toBe(0);
      here = await federation.start(here.dir, clock.env);
      expect(here.output()).not.toMatch(/"level":[56]0/);
      const { createdAt } = await write('after the restart');
      expect(off(createdAt)).toBeLessThan(2 * MINUTE);
      await sameDigest([here, there], 30_000);
    }, 90_000);
  },
);
