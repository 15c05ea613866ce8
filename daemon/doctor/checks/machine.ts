import { FILLING_TIMES } from '../../storage-guard.ts';
import { daysLeft } from '../disk-trend.ts';
import { DOCTOR_LIMITS, type FileFact, type OfflineFacts } from '../facts.ts';
import { type Finding, finding } from '../finding.ts';

const MIB = 1024 * 1024;
const STICKY = 0o1000;

/** Identity, API key and pepper, and who else can read DATA_DIR. */
export function checkFiles(facts: OfflineFacts): Finding[] {
  return [...facts.files.flatMap(checkFile), ...checkModes(facts)];
}

function checkFile({ path, kind, present, needed, mode, problem }: FileFact): Finding[] {
  const about = { subject: path, values: { path } };
  if (mode !== undefined && (mode & 0o077) !== 0) {
    const message = `${path} can be read or changed by others (mode ${(mode & 0o777).toString(8)})`;
    return [finding('secret-file-open', { ...about, message })];
  }
  if (problem !== undefined)
    return [
      finding(kind === 'api-key' ? 'api-key-damaged' : 'secret-file-damaged', { ...about, message: problem }),
    ];
  if (present || !needed) return [];
  switch (kind) {
    // The daemon may have its key from another source than the command.
    case 'api-key': {
      const message = `${path} is missing: without API_KEY a new one is generated at the next start`;
      return [finding('api-key-gone', { subject: path, message })];
    }
    case 'identity': {
      const message = `${path} is missing: without it this node's records can never be changed again`;
      return [finding('identity-gone', { ...about, message })];
    }
    case 'key-pepper': {
      const message = `${path} is missing: without it every issued key is refused`;
      return [finding('pepper-gone', { ...about, message })];
    }
  }
}

function checkModes({
  dataDirMode,
  openModes: { open, left },
  settings: { dataDir },
}: OfflineFacts): Finding[] {
  if (open === 0) return [];
  const more = open > left.length ? ` and ${open - left.length} more` : '';
  const message = `others can read or change ${left.join(', ')}${more}: private messages are in the database`;
  return dataDirMode !== undefined && (dataDirMode & STICKY) !== 0
    ? [finding('folder-shared', { subject: dataDir, message })]
    : [finding('folder-open', { subject: dataDir, message, values: { path: dataDir } })];
}

/** The database as seen from outside, and what the running daemon reports about it. */
export function checkDatabase({ database, settings }: OfflineFacts): Finding[] {
  const { initialized, present, damagedCopy, holder, refusal } = database;
  const folder = `${settings.dataDir}/db`;
  const found: Finding[] = [];
  if (initialized && !present)
    found.push(
      finding('database-gone', {
        subject: folder,
        message: `${folder} is missing although this node has been initialised`,
        values: { path: folder, marker: `${settings.dataDir}/initialized` },
      }),
    );
  if (holder !== undefined)
    found.push(
      finding('identity-in-use', {
        subject: folder,
        message: holder.message,
        values: { pid: holder.pid?.toString() },
      }),
    );
  if (refusal !== undefined && refusal.code !== 'disk-full')
    found.push(
      finding('writes-refused', {
        subject: folder,
        message: `writes are refused (${refusal.code}): ${refusal.message}`,
      }),
    );
  if (damagedCopy)
    found.push(
      finding('damaged-copy', {
        subject: folder,
        message: `${folder}.damaged is a copy from before a repair; it may hold what only this node had`,
        values: { path: `${folder}.damaged` },
      }),
    );
  return found;
}

/** Free space, now and at the pace of the last day. */
export function checkDisk({ disk, settings, database }: OfflineFacts): Finding[] {
  const { freeBytes, samples, missing } = disk;
  const { dataDir, diskReserveMb } = settings;
  const reserve = diskReserveMb * MIB;
  const about = { subject: dataDir, values: { path: dataDir } };
  if (freeBytes === undefined)
    return [
      finding('folder-missing', {
        subject: dataDir,
        values: { path: missing },
        message: `${dataDir} is missing or cannot be read, so the free space on its disk is unknown`,
      }),
    ];
  const free = `${Math.floor(freeBytes / MIB)} MiB are free`;
  if (freeBytes < reserve || database.refusal?.code === 'disk-full') {
    const message = `${free}, less than DISK_RESERVE_MB=${diskReserveMb}: writes are refused, reads continue`;
    return [finding('disk-full', { ...about, message })];
  }
  const days = daysLeft(samples, reserve);
  if (days !== undefined && days < DOCTOR_LIMITS.diskDays) {
    const message = `${free}; at the rate of the last day, writes will be refused in ${days.toFixed(1)} days`;
    return [finding('disk-filling', { ...about, message })];
  }
  // From where the alarm comes on.
  if (freeBytes >= FILLING_TIMES * reserve) return [];
  return [
    finding('disk-low', { ...about, message: `${free}; below ${diskReserveMb} MiB, writes are refused` }),
  ];
}
