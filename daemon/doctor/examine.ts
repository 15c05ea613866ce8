import {
  checkClock,
  checkDht,
  checkDigests,
  checkForks,
  checkGaps,
  checkPeers,
  checkRegistrations,
  checkRejoin,
  checkSchema,
} from './checks/federation.ts';
import { checkForgotten, checkQuotas, checkStalls } from './checks/kept.ts';
import { checkDatabase, checkDisk, checkFiles } from './checks/machine.ts';
import { checkExposure, checkSecrets, checkSettings, checkTls } from './checks/settings.ts';
import {
  checkAlarms,
  checkConflicts,
  checkJobs,
  checkMirror,
  checkQuarantine,
  checkRedis,
  checkScrub,
} from './checks/work.ts';
import type { OfflineFacts, OnlineFacts } from './facts.ts';
import { type CheckId, type Finding, sorted } from './finding.ts';

const OFFLINE: Readonly<Partial<Record<CheckId, (facts: OfflineFacts) => Finding[]>>> = {
  settings: checkSettings,
  secrets: checkSecrets,
  exposure: checkExposure,
  files: checkFiles,
  database: checkDatabase,
  disk: checkDisk,
  tls: checkTls,
};
const ONLINE: Readonly<Partial<Record<CheckId, (facts: OnlineFacts) => Finding[]>>> = {
  clock: checkClock,
  dht: checkDht,
  peers: checkPeers,
  registrations: checkRegistrations,
  schema: checkSchema,
  gaps: checkGaps,
  quotas: checkQuotas,
  stalls: checkStalls,
  forgotten: checkForgotten,
  digests: checkDigests,
  scrub: checkScrub,
  forks: checkForks,
  quarantine: checkQuarantine,
  conflicts: checkConflicts,
  alarms: checkAlarms,
  jobs: checkJobs,
  redis: checkRedis,
  mirror: checkMirror,
  rejoin: checkRejoin,
};

/** What was found without a daemon. */
export function examineOffline(facts: OfflineFacts): Finding[] {
  return sorted(Object.values(OFFLINE).flatMap((check) => check(facts)));
}

/** What a running daemon finds, including the offline checks. */
export function examineOnline(facts: OnlineFacts): Finding[] {
  return sorted([...examineOffline(facts), ...Object.values(ONLINE).flatMap((check) => check(facts))]);
}
