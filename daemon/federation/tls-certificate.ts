import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { type Env, every } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';

/** PEM certificate chain and key, for node:https. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
}

/** The certificate at this node's public URL. */
export interface TlsCertificate {
  /** SHA-256 of the leaf, lower-case hex; empty without TLS_CERT_FILE. */
  fingerprint(): string;
  /** The certificate of this node's HTTPS server; undefined when it has no key and a proxy serves the certificate. */
  keys(): TlsPair | undefined;
  /** Told once for each renewed pair, to be taken over for new connections. */
  onChange(renewed: (pair: TlsPair) => void): void;
  /** Looks at the files now, and not at the next regular look. */
  look(): void;
  stop(): void;
}

export interface TlsCertificateOptions {
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly env: Pick<Env, 'after'>;
  /** An unusable certificate is reported, and the old one stays in use. */
  readonly onProblem: (error: unknown) => void;
  readonly onRenewed: (fingerprint: string) => void;
  /** Between checks of the files, milliseconds. */
  readonly lookMs?: number;
}

/** Often enough for renewals, which are weeks apart; a check takes two calls of `stat`. */
const LOOK_MS = 5000;

interface Loaded {
  readonly fingerprint: string;
  readonly pair: TlsPair | undefined;
}

/**
 * Reads the certificate and follows its renewal. Certificate and key change together or not at all: the one signed for is always the
 * one served. Throws `tls-invalid` when they cannot be read at the start.
 */
export function openTlsCertificate(options: TlsCertificateOptions): TlsCertificate {
  const { certFile, keyFile } = options;
  if (certFile === undefined) {
    if (keyFile !== undefined) throw new AgrinetError('tls-invalid', 'TLS_KEY_FILE requires TLS_CERT_FILE');
    const nothing = (): undefined => undefined;
    return { fingerprint: () => '', keys: nothing, onChange: nothing, look: nothing, stop: nothing };
  }
  const stamp = (): string =>
    [certFile, keyFile].map((file) => (file === undefined ? '' : stampOf(file))).join();
  let seen = stamp();
  let loaded = load(certFile, keyFile);
  const listeners: ((pair: TlsPair) => void)[] = [];

  const look = (): void => {
    const now = stamp();
    if (now === seen) return;
    seen = now;
    let next: Loaded;
    try {
      next = load(certFile, keyFile);
    } catch (error) {
      // Half of a renewal: the other file follows, and changes the stamp again.
      options.onProblem(error);
      return;
    }
    if (next.fingerprint === loaded.fingerprint) return;
    loaded = next;
    if (next.pair !== undefined) for (const listener of listeners) listener(next.pair);
    options.onRenewed(next.fingerprint);
  };
  const timer = every(options.env, options.lookMs ?? LOOK_MS, look);
  return {
    fingerprint: () => loaded.fingerprint,
    keys: () => loaded.pair,
    onChange: (renewed) => void listeners.push(renewed),
    look,
    stop: () => timer.cancel(),
  };
}

function load(certFile: string, keyFile: string | undefined): Loaded {
  try {
    const cert = readFileSync(certFile, 'utf8');
    const leaf = new X509Certificate(cert);
    const fingerprint = leaf.fingerprint256.replaceAll(':', '').toLowerCase();
    if (keyFile === undefined) return { fingerprint, pair: undefined };
    const key = readFileSync(keyFile, 'utf8');
    if (!leaf.checkPrivateKey(createPrivateKey(key)))
      throw new AgrinetError(
        'tls-invalid',
        'the key in TLS_KEY_FILE does not belong to the certificate in TLS_CERT_FILE',
      );
    return { fingerprint, pair: { cert, key } };
  } catch (error) {
    if (error instanceof AgrinetError) throw error;
    const files = keyFile === undefined ? certFile : `${certFile} or ${keyFile}`;
    throw new AgrinetError('tls-invalid', `TLS: ${files} cannot be read as PEM`, { cause: error });
  }
}

function stampOf(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat === undefined ? 'gone' : `${stat.ino}:${stat.size}:${stat.mtimeMs}`;
}
