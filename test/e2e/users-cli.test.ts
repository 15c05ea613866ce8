import { afterAll, beforeAll, expect, it } from 'vitest';
import { agrinetHere } from '../support/cli.ts';
import { Federation, type Member } from '../support/federation.ts';

const federation = new Federation();
let node: Member;

beforeAll(async () => {
  node = await federation.add();
});
afterAll(() => federation.close());

it('agrinet users enters, shows, lists and removes users', async () => {
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await agrinetHere(node, ['users', ...args]);
    expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
    return stdout;
  };
  const fields = [
    '--name',
    'Amina',
    '--phone',
    '+254700112233',
    '--language',
    'sw',
    '--mute',
    'progress,want',
  ];
  await run('set', 'amina/1', ...fields, '--quiet', '21:00-06:00 Africa/Nairobi', '--no-sms');
  expect(await run('list')).toMatch(
    /amina\/1.*Amina.*sw \(texts not reviewed by a speaker\).*\+254700112233/,
  );
  const shown = await run('show', 'amina/1');
  for (const line of [
    'quietHours: 21:00-06:00 Africa/Nairobi',
    'muted: progress, want',
    'sms: false',
    'language: sw (texts not reviewed by a speaker)',
  ])
    expect(shown).toContain(line);
  expect(JSON.parse(await run('set', 'amina/1', '--name', 'Amina W.', '--json'))).toMatchObject({
    displayName: 'Amina W.',
    sms: false,
  });
  expect(await run('set', 'amina/1', '--language', 'luo')).toContain('no texts; notices are in English');
  expect(await run('set', 'amina/1', '--language', 'en')).toMatch(/^language: en$/m);
  await run('set', 'amina/1', '--quiet', '', '--sms', '--mute', '', '--name', 'Amina');
  expect(JSON.parse(await run('list', '--json'))).toMatchObject({
    users: [{ id: 'amina/1', sms: true, muted: [], displayName: 'Amina' }],
  });
  expect(await run('remove', 'amina/1')).toContain('removed');
  expect(await agrinetHere(node, ['users', 'show', 'amina/1'])).toMatchObject({ code: 75 });
  expect(await agrinetHere(node, ['users', 'set', 'x', '--quiet', 'night'])).toMatchObject({ code: 2 });
});
