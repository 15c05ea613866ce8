import { expect, it } from 'vitest';
import { UnexpectedStatus, waitFor } from '../../support/wait.ts';

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
    message: 'waited 50 ms in vain for a record',
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
