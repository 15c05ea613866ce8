import { afterAll, beforeAll, expect, it } from 'vitest';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { FormBrowser } from '../../support/browser.ts';
import { registerHere, startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const dir = tempDir('page-attention');
const other = identityFromSeed(new Uint8Array(32).fill(5)).peerId;
let node: TestNode;
let operator: FormBrowser;
beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  operator = new FormBrowser(node);
  await operator.signIn(TEST_KEY);
  await operator.get('/admin');
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

const page = async (): Promise<string> => (await operator.get('/admin')).text();

it('shows every finding of the doctor with its remedy, before how the node does', async () => {
  const text = await page();
  const { findings } = await node.context.doctor.examine();
  expect(findings.length).toBeGreaterThan(0);
  expect(text.match(/class="card finding /g)).toHaveLength(findings.length);
  expect(text.indexOf('Needs attention')).toBeLessThan(text.indexOf('Data on this node'));
  expect(text.match(/<code lang="en">/g)).toHaveLength(findings.length);
});

it('has the button of a node that is suspended, and it works', async () => {
  await registerHere(node, other);
  await node.context.registration.change(other, 'suspend');
  const text = await page();
  const [, path = ''] = /action="(\/admin\/federation\/[^"]+\/resume)"/.exec(text) ?? [];
  expect((await operator.post(path, {})).status).toBe(303);
  expect((await node.context.registration.node(other)).status).toBe('active');
  expect(await page()).not.toContain(path);
});

it('clears alarms', async () => {
  node.node.alarms.raise({ kind: 'tail-lost', commits: 2 });
  const text = await page();
  expect(text).toContain('action="/admin/attention/clear-alarms"');
  await operator.post('/admin/attention/clear-alarms', {});
  expect(await page()).toContain('Alarms cleared: 1.');
  expect(node.context.alarms('whole')).toEqual([]);
});

it('retries dead jobs, and queues a sync', async () => {
  await registerHere(node, other, { nodeUrl: 'http://127.0.0.1:9' });
  const job = await node.context.jobs.enqueueSync(other);
  await expect
    .poll(
      async () => {
        const claimed = await node.context.jobs.attempts.claim(job.id).catch(() => undefined);
        if (claimed !== undefined)
          await node.context.jobs.attempts.fail(job.id, claimed.attempt, {
            code: 'x',
            message: 'no',
            final: true,
          });
        return (await node.context.jobs.get(job.id))?.state;
      },
      { timeout: 20_000 },
    )
    .toBe('dead');
  expect(await page()).toContain('action="/admin/attention/retry-jobs"');
  await operator.post('/admin/attention/retry-jobs', {});
  expect(await page()).toContain('Jobs that wait again: 1.');
  expect((await node.context.jobs.get(job.id))?.state).not.toBe('dead');
  await operator.post('/admin/attention/sync', {});
  expect(await page()).toMatch(/A sync with every node is queued|less than a minute ago/);
});

it('says its own words in Swahili, and the doctor’s in English, marked as such', async () => {
  const swahili = await (await operator.get('/admin?lang=sw')).text();
  expect(swahili).toContain('Inahitaji kushughulikiwa');
  expect(swahili).toMatch(/<span lang="en">/);
  await operator.get('/admin?lang=en');
});
