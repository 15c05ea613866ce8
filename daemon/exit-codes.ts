/**
 * How the process ends: the name is an error's `code`, the unit file and the runbook name the numbers. Numbers are never reused.
 * `stays`: starting again changes nothing, so the units do not (RestartPreventExitStatus).
 */
const exitCodes = [
  ['ok', 0, 'success'],
  ['internal', 1, 'internal error; `LOG_LEVEL=debug` shows where'],
  ['usage', 2, 'invalid command or option, or Node.js is too old', 'stays'],
  ['settings-invalid', 64, 'one or more settings are invalid; all are listed', 'stays'],
  ['port-busy', 65, 'PORT or MYCELIUM_PORT is in use by another process'],
  ['database-locked', 66, 'another process uses this database or this identity', 'stays'],
  ['database-newer', 67, 'the database was written by a newer agrinetd', 'stays'],
  ['folder-unwritable', 68, 'DATA_DIR cannot be created, read or written', 'stays'],
  ['disk-full', 69, 'no space left for DATA_DIR'],
  ['identity-invalid', 70, 'the identity file is damaged or readable by others', 'stays'],
  ['database-missing', 71, 'the database existed before and is gone', 'stays'],
  ['database-damaged', 72, 'the database does not open, or `agrinet fsck` found problems', 'stays'],
  ['daemon-not-running', 73, 'no daemon answers at BACKEND_URL'],
  ['not-converged', 74, 'the digests of the demo differ'],
  ['request-refused', 75, 'the daemon rejected the request', 'stays'],
  ['api-key-invalid', 76, 'the file DATA_DIR/api-key is damaged or readable by others', 'stays'],
  ['key-pepper-invalid', 77, 'the file DATA_DIR/key-pepper is damaged or readable by others', 'stays'],
  ['tls-invalid', 78, 'TLS_CERT_FILE or TLS_KEY_FILE cannot be used', 'stays'],
  [
    'audit-broken',
    79,
    '`agrinet audit verify` found a line that was changed, removed, inserted or truncated',
  ],
  ['trends-differ', 80, '`agrinet trends verify` found a snapshot that does not follow from its own prices'],
  ['unhealthy', 81, '`agrinet doctor` found errors or warnings; each names its fix'],
  ['backup-damaged', 82, 'the file is truncated, corrupted or not a backup, or not an exported node key'],
  ['backup-foreign', 83, 'the backup or exported node key, or the folder, belongs to another node'],
  [
    'passphrase-wrong',
    84,
    'the passphrase does not decrypt the keys in the backup, or the exported node key',
  ],
  ['backup-newer', 85, 'the backup was written by a newer agrinetd'],
  ['folder-not-empty', 86, '`agrinet restore` needs an empty DATA_DIR; key files may be present'],
  ['restore-unfinished', 87, 'a restore was interrupted; run it again', 'stays'],
  ['feed-file-damaged', 88, 'the feed file is truncated or corrupted; the entries before that were imported'],
  ['mirror-differs', 89, '`agrinet mirror verify` found items that differ from LevelDB'],
  ['output-failed', 90, 'the output could not be written; the line on stderr says what follows'],
  ['rows-refused', 91, '`agrinet import`: some rows were rejected, each is listed; all others were imported'],
  ['nothing-matched', 92, '`agrinet import --region`: the file has no rows of these regions'],
  ['storage-failed', 94, 'the disk failed to read or write the database', 'stays'],
  ['note-altered', 96, '`agrinet contract verify`: the deal note was altered, or something was taken out'],
  ['source-keys-invalid', 95, 'the file DATA_DIR/source-keys is damaged or readable by others', 'stays'],
] as const satisfies readonly (readonly [name: string, code: number, meaning: string, restart?: 'stays'])[];

const byName: ReadonlyMap<string, number> = new Map(exitCodes.map(([name, code]) => [name, code]));

/** The exit code of an error code; 1 for one that has none of its own. */
export function exitCodeFor(errorCode: string): number {
  return byName.get(errorCode) ?? 1;
}

/** Codes that starting again cannot fix; the units name the same. */
export function lastingExitCodes(): number[] {
  return exitCodes.flatMap(([, code, , restart]) => (restart === 'stays' ? [code] : []));
}

/** The runbook's table of exit codes, in markdown. */
export function exitCodeTable(): string {
  const rows = exitCodes.map(([name, code, meaning]) => `| ${code} | \`${name}\` | ${meaning} |`);
  return ['| exit code | name | meaning |', '|---|---|---|', ...rows].join('\n');
}
