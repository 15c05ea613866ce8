/**
 * How the process ends: the name is an error's `code`, the unit file and the runbook name the numbers. Numbers are never reused.
 * `stays`: starting again changes nothing, so the units do not (RestartPreventExitStatus).
 */
const exitCodes = [
  ['ok', 0, 'ended as asked'],
  ['internal', 1, 'a fault of ours; `LOG_LEVEL=debug` shows where'],
  ['usage', 2, 'wrong command or option, or a Node.js that is too old', 'stays'],
  ['settings-invalid', 64, 'one or more settings are wrong; all are listed', 'stays'],
  ['port-busy', 65, 'PORT or MYCELIUM_PORT is taken by another process'],
  ['database-locked', 66, 'another process uses this database or this identity', 'stays'],
  ['database-newer', 67, 'the database was written by a newer agrinetd', 'stays'],
  ['folder-unwritable', 68, 'DATA_DIR cannot be created, read or written', 'stays'],
  ['disk-full', 69, 'no space left for DATA_DIR'],
  ['identity-invalid', 70, 'the identity file is damaged or readable by others', 'stays'],
  ['database-missing', 71, 'the database was here before and is gone', 'stays'],
  ['database-damaged', 72, 'the database does not open, or `agrinet fsck` found problems', 'stays'],
  ['daemon-not-running', 73, 'no daemon answers at BACKEND_URL'],
  ['not-converged', 74, 'the digests of the demo differ'],
  ['request-refused', 75, 'the daemon refused what the command asked', 'stays'],
  ['api-key-invalid', 76, 'the file DATA_DIR/api-key is damaged or readable by others', 'stays'],
  ['key-pepper-invalid', 77, 'the file DATA_DIR/key-pepper is damaged or readable by others', 'stays'],
  ['tls-invalid', 78, 'TLS_CERT_FILE or TLS_KEY_FILE cannot be used', 'stays'],
  ['audit-broken', 79, '`agrinet audit verify` found a line that was changed, removed, put in or cut off'],
  ['trends-differ', 80, '`agrinet trends verify` found a snapshot that its own prices do not give'],
  ['unhealthy', 81, '`agrinet doctor` found errors or warnings; each names what mends it'],
  ['backup-damaged', 82, 'the file is cut off, altered or no backup'],
  ['backup-foreign', 83, 'the backup, or the folder, belongs to another node'],
  ['passphrase-wrong', 84, 'the passphrase does not open the keys in the backup'],
  ['backup-newer', 85, 'a newer agrinetd wrote the backup'],
  ['folder-not-empty', 86, '`agrinet restore` wants an empty DATA_DIR; keys may lie there'],
  ['restore-unfinished', 87, 'a restore was cut off: run it again', 'stays'],
  ['feed-file-damaged', 88, 'the feed file is cut off or altered; what came before stays'],
  ['mirror-differs', 89, '`agrinet mirror verify` found items that differ from LevelDB'],
  [
    'output-failed',
    90,
    'what the command printed could not be written; the line on stderr says what follows from it',
  ],
  ['rows-refused', 91, '`agrinet import`: some rows were refused, each is named; all others are in'],
  ['nothing-matched', 92, '`agrinet import --region`: the file has no row of these regions'],
  ['storage-failed', 94, 'the disk does not read or write what the database needs', 'stays'],
  ['source-keys-invalid', 95, 'the file DATA_DIR/source-keys is damaged or readable by others', 'stays'],
] as const satisfies readonly (readonly [name: string, code: number, meaning: string, restart?: 'stays'])[];

const byName: ReadonlyMap<string, number> = new Map(exitCodes.map(([name, code]) => [name, code]));

/** The exit code of an error code; 1 for one that has none of its own. */
export function exitCodeFor(errorCode: string): number {
  return byName.get(errorCode) ?? 1;
}

/** Codes that starting again cannot mend; the units name the same. */
export function lastingExitCodes(): number[] {
  return exitCodes.flatMap(([, code, , restart]) => (restart === 'stays' ? [code] : []));
}

/** The runbook's table of exit codes, in markdown. */
export function exitCodeTable(): string {
  const rows = exitCodes.map(([name, code, meaning]) => `| ${code} | \`${name}\` | ${meaning} |`);
  return ['| exit code | name | meaning |', '|---|---|---|', ...rows].join('\n');
}
