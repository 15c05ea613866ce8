import { expect, it } from 'vitest';
import type { SyncSource } from '../../../api/ports/sync-target.ts';
import { SyncRequests } from '../../../daemon/federation/sync-requests.ts';

const source = (n: number): SyncSource => ({
  kind: 'legacy',
  id: `legacy:${n}`,
  url: `https://${n}.example`,
});

function requests(sources: readonly SyncSource[], isReached: (id: string) => boolean) {
  const queued: string[] = [];
  let now = 0;
  const made = new SyncRequests({
    sources: () => sources,
    isReached,
    addJob: (_, key) => {
      queued.push(key);
      return Promise.resolve({ id: key, state: 'waiting' });
    },
    scrubAuthor: () => Promise.resolve(),
    forget: () => undefined,
    syncNow: () => undefined,
    now: () => now,
    steady: () => now,
  });
  const round = async (): Promise<string[]> => {
    now += 30 * 60_000;
    expect(await made.syncAll()).toEqual({ jobs: queued.length });
    return queued.splice(0);
  };
  return round;
}

it('each round syncs with all that are reached and 32 of those that are not, in turn until all had theirs', async () => {
  const all = Array.from({ length: 1000 }, (_, n) => source(n));
  const reached = new Set(['legacy:3', 'legacy:500']);
  const round = requests(all, (id) => reached.has(id));
  const tried = new Set<string>();
  for (let n = 0; n < 32; n++) {
    const some = await round();
    expect(some).toHaveLength(34);
    expect(new Set(some).size).toBe(34);
    expect(some).toEqual(expect.arrayContaining([...reached]));
    for (const id of some) tried.add(id);
  }
  expect(tried.size).toBe(1000);
});

it('as long as few are not reached, each of them is tried in each round', async () => {
  const all = Array.from({ length: 32 }, (_, n) => source(n));
  const round = requests(all, () => false);
  for (let n = 0; n < 3; n++) expect(await round()).toHaveLength(32);
});
