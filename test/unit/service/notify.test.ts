import { expect, test } from 'vitest';
import { assignments, createNotify, passedDescriptor } from '../../../daemon/service/notify.ts';

test('where no service manager listens, nobody is told', () => {
  const warn = () => expect.fail('nothing was to be told');
  expect(createNotify({}, warn)).toBeUndefined();
  expect(createNotify({ NOTIFY_SOCKET: '' }, warn)).toBeUndefined();
});

test('without a descriptor and without systemd-notify there is one warning, and the daemon goes on', async () => {
  const warnings: unknown[] = [];
  const notify = createNotify({ NOTIFY_SOCKET: '/nonexistent', PATH: '/nonexistent' }, (error) =>
    warnings.push(error),
  );
  await notify?.({ READY: '1' });
  await notify?.({ WATCHDOG: '1' });
  expect(warnings).toMatchObject([{ code: 'ENOENT' }]);
});

test('a value is one line of printable characters: nothing in a status can pass for another assignment', () => {
  expect(assignments({ READY: '1', STATUS: 'not ready:\nWATCHDOG=1\u0000\u202e' })).toEqual([
    'READY=1',
    'STATUS=not ready: WATCHDOG=1 ',
  ]);
  expect(assignments({ STATUS: 'x'.repeat(1000) })[0]).toHaveLength('STATUS='.length + 200);
});

test('a descriptor is taken by its name, and only by the process that it was passed to', () => {
  const env = { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'http:notify' };
  expect(passedDescriptor(env, 'notify', 7)).toBe(4);
  expect(passedDescriptor(env, 'notify', 8)).toBeUndefined();
  expect(passedDescriptor(env, 'metrics', 7)).toBeUndefined();
  expect(passedDescriptor({ ...env, LISTEN_FDS: '1' }, 'notify', 7)).toBeUndefined();
});
