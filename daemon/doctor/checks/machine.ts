import { daysLeft } from '../disk-trend.ts';
import { DOCTOR_LIMITS, type OfflineFacts } from '../facts.ts';
import { CHECK_ALL, type Finding } from '../finding.ts';

const MIB = 1024 * 1024;

/** Identity, API key and pepper. */
export function checkFiles({ files, dataDirMode, openModes, settings }: OfflineFacts): Finding[] {
  const found = files.flatMap(({ path, kind, present, needed, mode, problem }): Finding[] => {
    const about = { check: 'files', severity: 'error', subject: path } as const;
    if (mode !== undefined && (mode & 0o077) !== 0)
      return [
        {
          ...about,
          message: `${path} can be read or changed by others (mode ${(mode & 0o777).toString(8)})`,
          mend: `chmod 600 ${path}`,
        },
      ];
    if (problem !== undefined)
      return [{ ...about, message: problem, mend: `put ${path} back from a backup` }];
    if (present || !needed) return [];
    // The daemon may have its key from elsewhere than whoever looks.
    if (kind === 'api-key')
      return [
        {
          ...about,
          severity: 'info',
          message: `${path} is not there: without API_KEY a new one is made at the next start`,
          mend: 'API_KEY=<the key>',
        },
      ];
    const message =
      kind === 'identity'
        ? `${path} is gone: without it this node's records can never be changed again`
        : `${path} is gone: the keys that were issued are refused without it`;
    return [{ ...about, message, mend: `put ${path} back from a backup` }];
  });
  const { open, left } = openModes;
  if (open > 0)
    found.push({
      check: 'files',
      severity: 'warning',
      subject: settings.dataDir,
      message: `others can read or change ${left.join(', ')}${open > left.length ? ` and ${open - left.length} more` : ''}: private messages are in the database`,
      mend:
        dataDirMode !== undefined && (dataDirMode & 0o1000) !== 0
          ? 'DATA_DIR=<a folder of the daemon’s own>'
          : `chmod -R go= ${settings.dataDir}`,
    });
  return found;
}

/** The database as far as it shows from outside, and what the running daemon says of it. */
export function checkDatabase({ database, settings }: OfflineFacts): Finding[] {
  const { initialized, present, damagedCopy, heldBy, refusal } = database;
  const folder = `${settings.dataDir}/db`;
  const found: Finding[] = [];
  const about = { check: 'database', subject: folder } as const;
  if (initialized && !present)
    found.push({
      ...about,
      severity: 'error',
      message: `${folder} is gone although this node was initialised before`,
      mend: `put ${folder} back from a backup`,
    });
  if (heldBy !== undefined)
    found.push({ ...about, severity: 'error', message: heldBy, mend: 'agrinet status' });
  if (refusal !== undefined && refusal.code !== 'disk-full')
    found.push({
      ...about,
      severity: 'error',
      message: `writing is refused (${refusal.code}): ${refusal.message}`,
      mend: CHECK_ALL,
    });
  if (damagedCopy)
    found.push({
      ...about,
      severity: 'info',
      message: `${folder}.damaged is a copy from before a repair; it may hold what only this node had`,
      mend: `rm -r ${folder}.damaged`,
    });
  return found;
}

/** Free space, now and at the pace of the last day. */
export function checkDisk({ disk, settings, database }: OfflineFacts): Finding[] {
  const { freeBytes, samples } = disk;
  const reserve = settings.diskReserveMb * MIB;
  const about = { check: 'disk', subject: settings.dataDir } as const;
  const mend = `df -h ${settings.dataDir}`;
  if (freeBytes === undefined)
    return [
      {
        ...about,
        severity: 'warning',
        message: `the disk of ${settings.dataDir} cannot be asked for its free space`,
        mend,
      },
    ];
  const free = `${Math.floor(freeBytes / MIB)} MiB are free`;
  if (freeBytes < reserve || database.refusal?.code === 'disk-full')
    return [
      {
        ...about,
        severity: 'error',
        message: `${free}, and DISK_RESERVE_MB=${settings.diskReserveMb} shall stay so: writes are refused, reads go on`,
        mend,
      },
    ];
  const days = daysLeft(samples, reserve);
  if (days !== undefined && days < DOCTOR_LIMITS.diskDays)
    return [
      {
        ...about,
        severity: 'warning',
        message: `${free}; at the pace of the last day writes are refused in ${days.toFixed(1)} days`,
        mend,
      },
    ];
  if (freeBytes < 2 * reserve)
    return [
      {
        ...about,
        severity: 'warning',
        message: `${free}; below ${settings.diskReserveMb} writes are refused`,
        mend,
      },
    ];
  return [];
}
