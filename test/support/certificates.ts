import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
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

/** One that is valid between two days, given as YYYYMMDD: also long past. `openssl req` makes none of those, a CA of its own does. */
export function datedCertificate(
  host: string,
  from: string,
  until: string,
): Pick<Certificate, 'cert' | 'key'> {
  const dir = tempDir('dated');
  try {
    const at = (name: string): string => join(dir.path, name);
    const name = /^[\d.]+$|:/.test(host) ? `IP:${host}` : `DNS:${host}`;
    writeFileSync(at('index.txt'), '');
    writeFileSync(
      at('ca.cnf'),
      `[ca]\ndefault_ca=own\n[own]\ndatabase=${at('index.txt')}\nnew_certs_dir=${dir.path}\npolicy=any\ndefault_md=sha256\nrand_serial=yes\nx509_extensions=names\n[any]\ncommonName=supplied\n[names]\nsubjectAltName=${name}\n`,
    );
    const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { stdio: 'ignore' });
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    openssl('req', '-new', ...curve, '-subj', '/CN=agrinet-test', '-keyout', at('key'), '-out', at('csr'));
    const dates = ['-startdate', `${from}000000Z`, '-enddate', `${until}000000Z`];
    const files = ['-config', at('ca.cnf'), '-keyfile', at('key'), '-in', at('csr'), '-out', at('cert')];
    openssl('ca', '-batch', '-selfsign', '-notext', ...files, ...dates);
    return { cert: readFileSync(at('cert'), 'utf8'), key: readFileSync(at('key'), 'utf8') };
  } finally {
    dir.remove();
  }
}
