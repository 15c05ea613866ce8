import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DoctorReport, FindingRow } from '../../api/ports/doctor.ts';
import { agrinet } from '../support/cli.ts';
import { Federation, sameDigest } from '../support/federation.ts';
import { waitFor } from '../support/wait.ts';

let federation: Federation;
beforeEach(() => {
  federation = new Federation();
});
afterEach(() => federation.close());

describe('a healthy federation', () => {
  it('of three nodes has nothing to mend: exit code 0', async () => {
    const members = [await federation.add(), await federation.add(), await federation.add()];
    await federation.registerAll();
    for (const [i, member] of members.entries())
      await member.json('POST', '/listings', { type: 'offer', title: `Maize ${i}` });
    await sameDigest(members, 20_000);
    for (const member of members) {
      const result = await agrinet(member, ['doctor', '--json'], { DATA_DIR: member.dir });
      expect(JSON.parse(result.stdout)).toMatchObject({ healthy: true, unchecked: [] });
      expect((JSON.parse(result.stdout) as { findings: unknown[] }).findings).toEqual([]);
      expect([result.code, result.stderr]).toEqual([0, '']);
    }
    const [first] = members;
    const shown = await agrinet(first, ['doctor']);
    expect([shown.code, shown.stdout]).toEqual([
      0,
      expect.stringMatching(/\d+ checks, nothing to mend\.\n$/),
    ]);
  });
});
