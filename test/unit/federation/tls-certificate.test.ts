import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openTlsCertificate, type TlsPair } from '../../../daemon/federation/tls-certificate.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

const dir = tempDir('tls');
afterAll(() => dir.remove());
const [certFile, keyFile] = [join(dir.path, 'tls.crt'), join(dir.path, 'tls.key')];
const [first, second] = [makeCertificate(), makeCertificate()];

describe('the certificate of this node', () => {
  it('is taken over when certificate and key have both changed', async () => {
    writeFileSync(certFile, first.cert);
    writeFileSync(keyFile, first.key);
    const problems: unknown[] = [];
    const told: TlsPair[] = [];
    const tls = openTlsCertificate({
      env: systemEnv,
      certFile,
      keyFile,
      onProblem: (error) => problems.push(error),
      onRenewed: () => undefined,
      lookMs: 10,
    });
    try {
      tls.onChange((pair) => told.push(pair));
      expect(tls.fingerprint()).toBe(first.fingerprint);
      writeFileSync(certFile, second.cert);
      await waitFor('the half renewal to be seen', () => problems.length > 0);
      expect(tls.fingerprint()).toBe(first.fingerprint);
      expect(tls.keys()?.key).toBe(first.key);
      writeFileSync(keyFile, second.key);
      await waitFor('the renewal', () => told.length > 0);
      expect(tls.fingerprint()).toBe(second.fingerprint);
      expect(told).toEqual([{ cert: second.cert, key: second.key }]);
    } finally {
      tls.stop();
    }
  });

  it('may be a proxy’s, and must be readable at the start', () => {
    writeFileSync(certFile, first.cert);
    const quiet = { onProblem: () => undefined, onRenewed: () => undefined };
    const behind = openTlsCertificate({ env: systemEnv, certFile, ...quiet });
    expect([behind.fingerprint(), behind.keys()]).toEqual([first.fingerprint, undefined]);
    behind.stop();
    expect(openTlsCertificate({ env: systemEnv, ...quiet }).fingerprint()).toBe('');
    for (const files of [{ keyFile }, { certFile: keyFile }, { certFile: join(dir.path, 'absent') }])
      expect(() => openTlsCertificate({ env: systemEnv, ...files, ...quiet })).toThrow(/TLS/);
  });
});
