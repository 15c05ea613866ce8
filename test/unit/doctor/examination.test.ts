import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import type { DoctorReport } from '../../../api/ports/doctor.ts';
import { DOCTOR_LIMITS } from '../../../daemon/doctor/facts.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { registerHere, startNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

it(
  'ends in time whoever keeps silent, and says that it has not seen the clocks of all',
  { timeout: 40_000 },
  async () => {
    const dir = tempDir('examination');
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const node = await startNode(dir.path, { RATE_LIMIT: 'off' });
    try {
      const nodeUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
      for (let i = 0; i < 60; i++) {
        const { peerId } = identityFromSeed(new Uint8Array(randomBytes(32)));
        await registerHere(node, peerId, { nodeUrl: `${nodeUrl}/${i}` });
      }
      const began = performance.now();
      const report = (await (await node.request('GET', '/doctor')).json()) as DoctorReport;
      expect(performance.now() - began).toBeLessThan(DOCTOR_LIMITS.totalMs + 2000);
      expect(report.unchecked).toEqual([{ check: 'clock', code: 'peer-timeout' }]);
      expect(report.checked.map(({ check }) => check)).not.toContain('clock');
      expect(report.findings.filter(({ check }) => check === 'peers').length).toBeLessThanOrEqual(11);
    } finally {
      await node.stop();
      silent.closeAllConnections();
      silent.close();
      dir.remove();
    }
  },
);
