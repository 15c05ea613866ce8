import { isLoopbackHost, type SettingProblem } from '../../settings.ts';
import { weaknessOf } from '../../secrets.ts';
import { DOCTOR_LIMITS, type OfflineFacts } from '../facts.ts';
import { type Finding, finding, harmless } from '../finding.ts';
import { isoDay, isoTime } from '../../../protocols/wire/iso-time.ts';

const DAY_MS = 24 * 60 * 60_000;

/** Names that are not settings: what was meant has not taken effect. */
export function checkSettings({ strayNames }: OfflineFacts): Finding[] {
  return strayNames.map(({ name: given, meant, line }) => {
    const name = harmless(given);
    const about = { subject: name, message: harmless(line, 200) };
    return meant === undefined
      ? finding('setting-unknown', { ...about, values: { name } })
      : finding('setting-mistyped', { ...about, values: { meant, name } });
  });
}

/** A value that the daemon refuses to start with; the message is the line that the settings print. */
export function wrongSetting({ setting, line, fix }: SettingProblem): Finding {
  return finding('setting-wrong', { subject: setting, message: line, values: { fix: { command: fix } } });
}

/** Secrets that can be guessed. A node that others can reach does not start with one; on loopback they are reported all the same. */
export function checkSecrets({ settings }: OfflineFacts): Finding[] {
  const { apiKey, jwtSecret, federationWebhookSecret, jwtSecretPrevious, federationWebhookSecretPrevious } =
    settings;
  const secrets = {
    API_KEY: apiKey,
    JWT_SECRET: jwtSecret,
    FEDERATION_WEBHOOK_SECRET: federationWebhookSecret,
    JWT_SECRET_PREVIOUS: jwtSecretPrevious,
    FEDERATION_WEBHOOK_SECRET_PREVIOUS: federationWebhookSecretPrevious,
  };
  return Object.entries(secrets).flatMap(([name, secret]): Finding[] => {
    const weakness = secret === undefined ? undefined : weaknessOf(secret);
    if (weakness === undefined) return [];
    const about = { subject: name, message: `${name}: ${weakness}`, values: { name } };
    return [finding(isPublic(settings) ? 'secret-weak' : 'secret-weak-here', about)];
  });
}

/** Whether others than this machine are meant to reach the node. */
function isPublic({ host, publicUrl }: OfflineFacts['settings']): boolean {
  const url = publicUrl === undefined ? null : URL.parse(publicUrl);
  return !isLoopbackHost(host) || (url !== null && !isLoopbackHost(url.hostname));
}

/** Combinations of settings that expose more than was probably intended. */
export function checkExposure({ settings }: OfflineFacts): Finding[] {
  const { host, publicUrl, tlsCertFile, tlsKeyFile, rateLimit, allowPrivatePeers } = settings;
  const found: Finding[] = [];
  const open = !isLoopbackHost(host);
  const served = tlsCertFile !== undefined && tlsKeyFile !== undefined;
  if (open && !served)
    found.push(
      finding('open-without-tls', {
        subject: 'HOST',
        message: `HOST=${harmless(host)} is open to others without TLS: keys and content can be read in transit`,
      }),
    );
  if (open && publicUrl === undefined)
    found.push(
      finding('open-without-url', {
        subject: 'PUBLIC_URL',
        message:
          'others can reach this node but it announces no URL: they can neither register it nor catch up over HTTPS',
      }),
    );
  if (publicUrl?.startsWith('http:') === true && isPublic(settings))
    found.push(
      finding('url-without-tls', {
        subject: 'PUBLIC_URL',
        message: 'PUBLIC_URL is plain http, which other nodes refuse',
      }),
    );
  if (isPublic(settings) && rateLimit === undefined)
    found.push(
      finding('rate-unlimited', {
        subject: 'RATE_LIMIT',
        message: 'a public node without a rate limit',
      }),
    );
  if (isPublic(settings) && allowPrivatePeers)
    found.push(
      finding('private-peers-allowed', {
        subject: 'ALLOW_PRIVATE_PEERS',
        message: 'this node contacts private addresses, and registered nodes can make it do so',
      }),
    );
  return found;
}

/** The certificate's dates and names. */
export function checkTls({ certificate, settings, now }: OfflineFacts): Finding[] {
  if (certificate === undefined) return [];
  const { path } = certificate;
  const about = { subject: path, values: { path } };
  if ('problem' in certificate)
    return [finding('certificate-unreadable', { subject: path, message: certificate.problem })];
  const found: Finding[] = [];
  const { notBefore, notAfter, names, host } = certificate;
  const days = (notAfter - now) / DAY_MS;
  const day = isoDay(notAfter);
  if (now < notBefore)
    found.push(
      finding('certificate-early', {
        ...about,
        message: `the certificate is valid only from ${isoTime(notBefore)} on`,
      }),
    );
  if (days < 0)
    found.push(
      finding('certificate-expired', { ...about, message: `the certificate has expired on ${day}` }),
    );
  else if (days < DOCTOR_LIMITS.tlsDays)
    found.push(
      finding('certificate-expiring', {
        ...about,
        message: `the certificate expires on ${day}, in ${Math.floor(days)} days`,
      }),
    );
  if (names === false)
    found.push(
      finding('certificate-other-name', {
        ...about,
        message: `the certificate does not name ${harmless(host ?? '')}, the host of PUBLIC_URL=${harmless(settings.publicUrl ?? '')}`,
      }),
    );
  return found;
}
