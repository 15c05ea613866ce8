import { expect, it } from 'vitest';
import { boundOf, UnexpectedStatus, waitFor } from '../../support/wait.ts';

it('a wait goes on over what is not there yet, and names it when it was in vain', async () => {
  let looks = 0;
  const record = async (): Promise<string> => {
    if (++looks < 3) throw new UnexpectedStatus('GET /listings/x', 404, 'Not found');
    return 'there';
  };
  expect(await waitFor('a record', record)).toBe('there');
  const never = (): never => {
    throw new UnexpectedStatus('GET /listings/x', 404, 'Not found');
  };
  await expect(waitFor('a record', never, 50)).rejects.toMatchObject({
    message: expect.stringMatching(/^waited \d+ ms in vain for a record$/) as string,
    cause: { status: 404 },
  });
});

it('any other error ends a wait at once', async () => {
  for (const error of [new UnexpectedStatus('GET /ready', 500, 'fault'), new TypeError('fetch failed')]) {
    let looks = 0;
    const failing = (): never => {
      looks++;
      throw error;
    };
    await expect(waitFor('a record', failing)).rejects.toBe(error);
    expect(looks).toBe(1);
  }
});

it('a wait is as long as it says where no task queues for a processor, and ends before the timeout of a test where all do', () => {
  expect(boundOf(10_000, 0)).toBe(10_000);
  expect(boundOf(10_000, 8000)).toBe(18_000);
  expect(boundOf(10_000, 600_000)).toBe(45_000);
  expect(boundOf(120_000, 600_000)).toBe(120_000);
});
