import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DoctorReport, FindingRow } from '../../api/ports/doctor.ts';
import { agrinetHere } from '../support/cli.ts';
import { Federation, sameDigest } from '../support/federation.ts';
import { waitFor } from '../support/wait.ts';

let federation: Federation;
beforeEach(() => {
  federation = new Federation();
});
afterEach(() => federation.close());

describe('a healthy federation', () => {
  it('of three nodes has nothing to remedy: exit code 0', async () => {
    const members = [await federation.add(), await federation.add(), await federation.add()];
    await federation.registerAll();
    for (const [i, member] of members.entries())
      await member.json('POST', '/listings', { type: 'offer', title: `Maize ${i}` });
    await sameDigest(members, 20_000);
    for (const member of members) {
      const result = await agrinetHere(member, ['doctor', '--json'], { DATA_DIR: member.dir });
      expect(JSON.parse(result.stdout)).toMatchObject({ healthy: true, unchecked: [] });
      expect((JSON.parse(result.stdout) as { findings: unknown[] }).findings).toEqual([]);
      expect([result.code, result.stderr]).toEqual([0, '']);
    }
    const [first] = members;
    const shown = await agrinetHere(first, ['doctor']);
    expect([shown.code, shown.stdout]).toEqual([
      0,
      expect.stringMatching(/\d+ checks passed, no problems found\.\n$/),
    ]);
  });
});

describe('agrinet doctor', () => {
  it('names the command that mends, and is content when it was run: exit codes 81 and 0', async () => {
    const node = await federation.add();
    const identity = join(node.dir, 'identity.json');
    chmodSync(identity, 0o644);
    const sick = await agrinetHere(node, ['doctor']);
    expect([sick.code, sick.stderr]).toEqual([81, 'agrinet: 1 problem found.\n']);
    expect(sick.stdout).toContain(`Errors\n  files: ${identity} can be read or changed by others (mode 644)`);
    const [, command] = /→ (chmod .*)/.exec(sick.stdout) ?? [];
    expect(command).toBe(`chmod 600 ${identity}`);
    execFileSync('sh', ['-c', command ?? 'false']);
    expect((await agrinetHere(node, ['doctor'])).code).toBe(0);
  });

  it('tells of a registered node that is stopped, and when it is tried again', async () => {
    const [here, there] = [await federation.add(), await federation.add()];
    await federation.registerAll();
    await waitFor('a first sync', async () => {
      const { nodes } = await here.json<{ nodes: { nodeId: string; lastSync: string | null }[] }>(
        'GET',
        '/federation/nodes',
      );
      return nodes.some(({ nodeId, lastSync }) => nodeId === there.peerId && lastSync !== null);
    });
    await there.stop();
    const found = await waitFor(
      'the finding',
      async () => {
        const { findings } = await here.json<{ findings: FindingRow[] }>('GET', '/doctor');
        return findings.find(({ check, subject }) => check === 'peers' && subject === there.peerId);
      },
      100_000,
    );
    expect(found.message).toMatch(
      /cannot be reached \(.*\); silent since 20\d\d-.*; last synced at 20\d\d-.*; next attempt at 20\d\d-/,
    );
    // In the first minute it may only be late.
    expect(['info', 'warning']).toContain(found.severity);
  }, 120_000);

  it('without the daemon says so, and looks at what it can: 73, or 81 when something is wrong', async () => {
    const node = await federation.add();
    const env = { DATA_DIR: node.dir, MYCELIUM_NETWORK: 'test' };
    const busy = await agrinetHere({ url: 'http://127.0.0.1:9', apiKey: node.apiKey }, ['doctor'], env);
    expect([busy.code, busy.stdout]).toEqual([81, expect.stringMatching(/Process \d+ already runs as/)]);
    await node.stop();
    const down = await agrinetHere(node, ['doctor', '--json'], env);
    const report = JSON.parse(down.stdout) as DoctorReport;
    expect([down.code, report.healthy]).toEqual([73, false]);
    expect(report.findings.map(({ check, remedy }) => [check, remedy])).toEqual([
      ['daemon', 'agrinet start'],
    ]);
    expect(report.checked.map(({ check }) => check)).toContain('files');
    expect(report.unchecked.map(({ check }) => check)).toContain('clock');
    expect(down.stderr).toMatch(/^agrinet: No daemon answers/);
  });

  it('is for the operator alone', async () => {
    const node = await federation.add();
    expect((await fetch(`${node.url}/doctor`)).status).toBe(403);
    const other = await agrinetHere({ url: node.url, apiKey: 'another-key-that-is-none' }, ['doctor']);
    expect(other.code).toBe(75);
  });
});
