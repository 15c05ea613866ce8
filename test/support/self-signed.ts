import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './temp-dir.ts';

/** A certificate of 127.0.0.1 that no CA has signed. */
export interface SelfSigned {
  readonly cert: string;
  readonly key: string;
  /** SHA-256 of the certificate, lower-case hex. */
  readonly fingerprint: string;
}

export function selfSigned(): SelfSigned {
  const dir = tempDir('certificate');
  try {
    const [key, cert] = [join(dir.path, 'key.pem'), join(dir.path, 'cert.pem')];
    const args = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=node';
    const names = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert];
    execFileSync('openssl', [...args.split(' '), ...names], { stdio: 'ignore' });
    const text = readFileSync(cert, 'utf8');
    const fingerprint = new X509Certificate(text).fingerprint256.replaceAll(':', '').toLowerCase();
    return { cert: text, key: readFileSync(key, 'utf8'), fingerprint };
  } finally {
    dir.remove();
  }
}
