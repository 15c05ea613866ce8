import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agrinet, type CliResult } from '../support/cli.ts';
import { digestOf, Federation, type Member, sameDigest } from '../support/federation.ts';
import { waitFor } from '../support/wait.ts';

describe('the command line against running daemons', () => {
  const federation = new Federation();
  let here: Member;
  let there: Member;

  beforeAll(async () => {
    here = await federation.add({ REGION: 'Nairobi' });
    there = await federation.add({ REGION: 'Coast' });
    for (const title of ['Maize', 'Beans', 'Rice'])
      await there.json('POST', '/listings', { type: 'offer', title });
    const { code, stdout, stderr } = await agrinet(here, ['join', there.url, '--key', there.apiKey]);
    expect({ code, stderr, stdout }).toEqual({
      code: 0,
      stderr: '',
      stdout: `Joined ${there.peerId} (Coast): active\n`,
    });
    await sameDigest([here, there], 10_000, (state) => Object.keys(state.owners).includes(there.peerId));
  });
  afterAll(() => federation.close());

  const run = async (...args: string[]): Promise<CliResult> => {
    const result = await agrinet(here, args);
    expect({ code: result.code, stderr: result.stderr }, args.join(' ')).toEqual({ code: 0, stderr: '' });
    return result;
  };

  it('status: the table of the Agrinet status CLI, plain when piped', async () => {
    await waitFor('the first sync to be told', async () => {
      const { stdout } = await run('status', '--json');
      const { federationHealth } = JSON.parse(stdout) as { federationHealth: { lastSync: unknown }[] };
      return federationHealth[0]?.lastSync != null;
    });
    const { stdout } = await run('status');
    const [title, , head] = stdout.split('\n');
    expect(title).toBe('🌐 Federation Node Status Report');
    expect(head?.split('│').map((cell) => cell.trim())).toEqual([
      '',
      'Node URL',
      'Status',
      'Listings',
      'Transactions',
      'Users',
      'Last Sync',
      '',
    ]);
    const row = stdout.split('\n').find((line) => line.includes(there.url));
    expect(row?.split('│').map((cell) => cell.trim())).toMatchObject([
      '',
      there.url,
      '✅ ONLINE',
      '3',
      '-',
      '-',
      expect.stringMatching(/\d/),
      '',
    ]);
    // eslint-disable-next-line no-control-regex -- the escape that starts a colour is what must not be there
    expect(stdout).not.toMatch(/\u001b/);
    const { federationHealth } = JSON.parse((await run('status', '--json')).stdout) as {
      federationHealth: unknown[];
    };
    expect(federationHealth).toMatchObject([{ node: there.url, status: 'ONLINE', listings: 3 }]);
  });

  it('digest: what the daemon holds, the same on both', async () => {
    const { digest } = await digestOf(here);
    const { stdout } = await run('digest');
    expect(stdout).toContain(`Digest ${digest}\n`);
    expect(stdout).toMatch(new RegExp(`${there.peerId} +│ listings 3 `));
    const other = await agrinet(there, ['digest', '--json']);
    expect(JSON.parse(other.stdout)).toEqual(await digestOf(here));
  });

  it('identity and nodes: who is who', async () => {
    const { stdout } = await run('identity', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ peerId: here.peerId, region: 'Nairobi', running: true });
    const { stdout: nodes } = await run('nodes', '--json');
    expect(JSON.parse(nodes)).toMatchObject({
      nodes: [{ peerId: there.peerId, region: 'Coast', status: 'active', connected: true, lag: 0 }],
    });
  });

  it('says so in one line when the daemon refuses or is not there', async () => {
    const refused = await agrinet({ url: here.url, apiKey: 'not-the-key-of-this-node' }, [
      'suspend',
      there.peerId,
    ]);
    expect(refused.code).toBe(75);
    expect(refused.stderr.trim().split('\n')).toHaveLength(1);
    const unknown = await agrinet(here, ['suspend', here.peerId]);
    expect({ code: unknown.code, stderr: unknown.stderr }).toEqual({
      code: 75,
      stderr: expect.stringContaining(`no node ${here.peerId} is registered here`),
    });

    await there.stop();
    for (const args of [['status'], ['digest'], ['nodes'], ['conflicts'], ['suspend', here.peerId]]) {
      const { code, stdout, stderr } = await agrinet(there, args);
      expect({ code, stdout, stderr }, args.join(' ')).toEqual({
        code: 73,
        stdout: '',
        stderr: `agrinet: No daemon answers at ${there.url}. Start one with \`agrinet start\` or set BACKEND_URL.\n`,
      });
    }
    const { code, stdout } = await agrinet(there, ['identity', '--json'], { DATA_DIR: there.dir });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ peerId: there.peerId, running: false });
    const fsck = await agrinet(there, ['fsck', '--json'], { DATA_DIR: there.dir });
    expect({ code: fsck.code, stderr: fsck.stderr }).toEqual({ code: 0, stderr: '' });
    const status = JSON.parse((await run('status', '--json')).stdout) as { federationHealth: unknown[] };
    // How soon it counts as away, reach.test.ts sees to: here it has only just gone.
    expect(status.federationHealth).toMatchObject([{ node: there.url, listings: 3 }]);
  });
});
