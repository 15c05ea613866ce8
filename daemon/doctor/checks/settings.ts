import { isLoopbackHost } from '../../settings.ts';
import { weaknessOf } from '../../secrets.ts';
import { DOCTOR_LIMITS, type OfflineFacts } from '../facts.ts';
import { type Finding, harmless } from '../finding.ts';
import { isoDay, isoTime } from '../../../protocols/wire/iso-time.ts';

const DAY_MS = 24 * 60 * 60_000;

/** Names that are no setting: what was meant has not taken effect. */
export function checkSettings({ strayNames }: OfflineFacts): Finding[] {
  return strayNames.map((line) => {
    const name = line.slice(0, line.indexOf(':'));
    const meant = /Did you mean (\w+)\?$/.exec(line)?.[1];
    return {
      check: 'settings',
      severity: 'warning',
      subject: harmless(name),
      message: harmless(line, 200),
      mend: meant === undefined ? `unset ${harmless(name)}` : `${meant}=<the value>`,
    };
  });
}

/** Secrets that can be guessed. A node that others reach does not start with one; on loopback they are told all the same. */
export function checkSecrets({ settings }: OfflineFacts): Finding[] {
  const { apiKey, jwtSecret, federationWebhookSecret } = settings;
  const secrets = {
    API_KEY: apiKey,
    JWT_SECRET: jwtSecret,
    FEDERATION_WEBHOOK_SECRET: federationWebhookSecret,
  };
  return Object.entries(secrets).flatMap(([name, secret]): Finding[] => {
    const weakness = secret === undefined ? undefined : weaknessOf(secret);
    if (weakness === undefined) return [];
    return [
      {
        check: 'secrets',
        severity: isPublic(settings) ? 'error' : 'info',
        subject: name,
        message: `${name}: ${weakness}`,
        mend: `${name}=$(openssl rand -base64 32)`,
      },
    ];
  });
}

/** Whether others than this machine are meant to reach the node. */
function isPublic({ host, publicUrl }: OfflineFacts['settings']): boolean {
  const url = publicUrl === undefined ? null : URL.parse(publicUrl);
  return !isLoopbackHost(host) || (url !== null && !isLoopbackHost(url.hostname));
}

/** Combinations that open more than is meant. */
export function checkExposure({ settings }: OfflineFacts): Finding[] {
  const { host, publicUrl, tlsCertFile, tlsKeyFile, rateLimit, allowPrivatePeers } = settings;
  const found: Finding[] = [];
  const add = (severity: Finding['severity'], subject: string, message: string, mend: string): void =>
    void found.push({ check: 'exposure', severity, subject, message, mend });
  const open = !isLoopbackHost(host);
  const served = tlsCertFile !== undefined && tlsKeyFile !== undefined;
  if (open && !served)
    add(
      'warning',
      'HOST',
      `HOST=${harmless(host)} is open to others without TLS: keys and what is written can be read on the way`,
      'TLS_CERT_FILE=<file> TLS_KEY_FILE=<file>, or HOST=127.0.0.1 behind a proxy',
    );
  if (open && publicUrl === undefined)
    add(
      'warning',
      'PUBLIC_URL',
      'others can reach this node but are told no URL of it: they cannot register it, nor catch up over HTTPS',
      'PUBLIC_URL=https://<this node>',
    );
  if (publicUrl?.startsWith('http:') === true && isPublic(settings))
    add(
      'warning',
      'PUBLIC_URL',
      'PUBLIC_URL is plain http, which other nodes refuse',
      'PUBLIC_URL=https://…',
    );
  if (isPublic(settings) && rateLimit === undefined)
    add('warning', 'RATE_LIMIT', 'a public node without a limit on requests', 'RATE_LIMIT=1000');
  if (isPublic(settings) && allowPrivatePeers)
    add(
      'info',
      'ALLOW_PRIVATE_PEERS',
      'this node asks nodes at private addresses, which registered nodes may name',
      'ALLOW_PRIVATE_PEERS=off',
    );
  return found;
}

/** The certificate's dates and names. */
export function checkTls({ certificate, settings, now }: OfflineFacts): Finding[] {
  if (certificate === undefined) return [];
  const about = { check: 'tls', subject: certificate.path } as const;
  const renew = `renew ${certificate.path}; it is taken over without a restart`;
  if ('problem' in certificate)
    return [{ ...about, severity: 'error', message: certificate.problem, mend: 'TLS_CERT_FILE=<file>' }];
  const found: Finding[] = [];
  const { notBefore, notAfter, names, host } = certificate;
  const days = (notAfter - now) / DAY_MS;
  const day = isoDay(notAfter);
  if (now < notBefore)
    found.push({
      ...about,
      severity: 'error',
      message: `the certificate is valid only from ${isoTime(notBefore)} on`,
      mend: 'timedatectl status',
    });
  if (days < 0)
    found.push({
      ...about,
      severity: 'error',
      message: `the certificate has expired on ${day}`,
      mend: renew,
    });
  else if (days < DOCTOR_LIMITS.tlsDays)
    found.push({
      ...about,
      severity: 'warning',
      message: `the certificate expires on ${day}, in ${Math.floor(days)} days`,
      mend: renew,
    });
  if (names === false)
    found.push({
      ...about,
      severity: 'warning',
      message: `the certificate is not made for ${harmless(host ?? '')}, the host of PUBLIC_URL=${harmless(settings.publicUrl ?? '')}`,
      mend: `PUBLIC_URL=<a name of the certificate>, or ${renew}`,
    });
  return found;
}
