import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './temp-dir.ts';

/** A self-signed certificate for a host, as PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string;
}

/** Makes a certificate with the `openssl` command, good for a day; each call makes another. */
export function makeCertificate(host = '127.0.0.1'): Certificate {
  const dir = tempDir('certificate');
  try {
    const [certFile, keyFile] = [join(dir.path, 'tls.crt'), join(dir.path, 'tls.key')];
    const name = /^[\d.]+$|:/.test(host) ? `IP:${host}` : `DNS:${host}`;
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const about = ['-days', '1', '-subj', '/CN=agrinet-test', '-addext', `subjectAltName=${name}`];
    execFileSync('openssl', ['req', '-x509', ...curve, ...about, '-keyout', keyFile, '-out', certFile], {
      stdio: 'ignore',
    });
    const cert = readFileSync(certFile, 'utf8');
    const fingerprint = new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase();
    return { cert, key: readFileSync(keyFile, 'utf8'), fingerprint };
  } finally {
    dir.remove();
  }
}
