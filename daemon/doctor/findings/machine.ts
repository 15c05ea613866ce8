import { error, info, warning } from '../finding-kind.ts';

const NTP = 'timedatectl set-ntp true';
const RENEW = 'put a valid certificate into {path}; it is loaded without a restart';
const PUT_BACK = 'restore {path} from a backup';

/** This machine and what the daemon is started with. */
export const MACHINE = {
  'daemon-down': error('daemon', 'no daemon answers on this machine', 'agrinet start'),
  'daemon-not-there': error(
    'daemon',
    'no daemon answers at BACKEND_URL',
    'BACKEND_URL=<the URL of the node>',
  ),
  'setting-mistyped': warning(
    'settings',
    'an environment variable looks like a misspelled setting',
    '{meant}=<the value>, and unset {name}',
  ),
  'setting-unknown': warning(
    'settings',
    'an environment variable looks like a setting but is not one',
    'unset {name}',
  ),
  'setting-wrong': error('settings', 'a setting has an invalid value', '{fix}'),
  'secret-weak': error('secrets', 'a public node has a weak secret', '{name}=$(openssl rand -base64 32)'),
  'secret-weak-here': info(
    'secrets',
    'a node on loopback has a weak secret',
    '{name}=$(openssl rand -base64 32)',
  ),
  'open-without-tls': warning(
    'exposure',
    'others reach the node without TLS',
    'TLS_CERT_FILE=<file> TLS_KEY_FILE=<file>, or HOST=127.0.0.1 behind a proxy',
  ),
  'open-without-url': warning(
    'exposure',
    'others reach the node but it announces no URL',
    'PUBLIC_URL=https://<this node>',
  ),
  'url-without-tls': warning('exposure', 'PUBLIC_URL is plain http', 'PUBLIC_URL=https://<this node>'),
  'rate-unlimited': warning('exposure', 'a public node without a rate limit', 'RATE_LIMIT=1000'),
  'private-peers-allowed': info(
    'exposure',
    'a public node contacts private addresses',
    'ALLOW_PRIVATE_PEERS=off',
  ),
  'secret-file-open': error('files', 'others can read or change a file with a secret', 'chmod 600 {path}'),
  'secret-file-damaged': error('files', 'the identity or the pepper cannot be read', PUT_BACK),
  'api-key-damaged': error(
    'files',
    'the API key file cannot be read',
    'rm {path}; the next start makes a new one',
  ),
  'identity-gone': error('files', 'the identity file is missing', PUT_BACK),
  'pepper-gone': error(
    'files',
    'the pepper of the issued keys is missing',
    `${PUT_BACK}, or, to give those keys up: (umask 077; openssl rand -base64 32 > {path})`,
  ),
  'api-key-gone': info('files', 'the API key file is missing', 'API_KEY=<the key>'),
  'folder-open': warning('files', 'others can read or change the database', 'chmod -R go= {path}'),
  'folder-shared': warning(
    'files',
    'DATA_DIR is a shared folder',
    'DATA_DIR=<a folder used by the daemon alone>',
  ),
  'database-gone': error(
    'database',
    'the database is missing',
    `${PUT_BACK}, or start with an empty one that peers refill: rm {marker}`,
  ),
  'identity-in-use': error(
    'database',
    'another process runs with this identity',
    'BACKEND_URL=<its URL>, or stop it: kill {pid}',
  ),
  'writes-refused': error(
    'database',
    'the database failed and cannot be reopened',
    'restart the daemon, which repairs what is damaged; then agrinet doctor',
  ),
  'damaged-copy': info('database', 'a copy of the database from before a repair exists', 'rm -r {path}'),
  'folder-missing': warning('disk', 'DATA_DIR cannot be read', 'mkdir -p -m 700 {path}'),
  'disk-full': error(
    'disk',
    'the disk is full, and writes are refused',
    'free space on the disk of {path}: df -h {path}',
  ),
  'disk-low': warning('disk', 'the disk is almost full', 'free space on the disk of {path}: df -h {path}'),
  'disk-filling': warning(
    'disk',
    'at the rate of the last day the disk will be full soon',
    'free space on the disk of {path}: df -h {path}',
  ),
  'certificate-unreadable': error('tls', 'the certificate cannot be read', 'TLS_CERT_FILE=<file>'),
  'certificate-early': error(
    'tls',
    'the certificate is not valid yet',
    `${RENEW}; or if the clock is wrong: ${NTP}`,
  ),
  'certificate-expired': error('tls', 'the certificate has expired', RENEW),
  'certificate-expiring': warning('tls', 'the certificate expires soon', RENEW),
  'certificate-other-name': warning(
    'tls',
    'the certificate names another host',
    `PUBLIC_URL=<a name of the certificate>, or ${RENEW}`,
  ),
  'clock-impossible': warning('clock', 'the clock of this machine cannot be right', NTP),
  'clock-set-ahead': warning(
    'clock',
    'this clock was set forward',
    `${NTP}; a correct clock is trusted after ten minutes`,
  ),
  'own-entry-ahead': warning(
    'clock',
    'the newest own entry is ahead of this clock',
    `${NTP}; if the clock is right, this clears with the next entry of this node`,
  ),
  'own-clock-off': warning('clock', 'all peers’ clocks differ from this one', NTP),
  'own-clock-refused': error(
    'clock',
    'all peers’ clocks differ so much that signed requests are refused',
    NTP,
  ),
  'peer-clock-off': warning(
    'clock',
    'a peer’s clock differs from this one',
    `${NTP}, on whichever of the two is wrong`,
  ),
  'peer-clock-refused': error(
    'clock',
    'a peer’s clock differs so much that signed requests are refused',
    `${NTP}, on whichever of the two is wrong`,
  ),
} as const;
