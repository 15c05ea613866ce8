import type { FindingKind } from './finding-kind.ts';
import { ALARMS } from './findings/alarms.ts';
import { FEDERATION } from './findings/federation.ts';
import { MACHINE } from './findings/machine.ts';
import { RECORDS } from './findings/records.ts';
import { SERVICES } from './findings/services.ts';

/** Everything that the doctor can find. */
export const FINDINGS = { ...MACHINE, ...FEDERATION, ...RECORDS, ...SERVICES, ...ALARMS };

export type FindingId = keyof typeof FINDINGS;

/** The alarms that the check of alarms reports. */
export function alarmFinding(kind: string): keyof typeof ALARMS | undefined {
  const id = `alarm-${kind}`;
  return Object.hasOwn(ALARMS, id) ? (id as keyof typeof ALARMS) : undefined;
}

/** The table of findings for the README, in markdown. */
export function findingsTable(): string {
  const kinds: readonly [string, FindingKind][] = Object.entries(FINDINGS);
  const rows = kinds.map(([id, { check, severity, what, remedy, lasting }]) => {
    const text = lasting === undefined ? remedy : `${remedy} (it stays: ${lasting})`;
    return `| \`${id}\` | ${check} | ${severity} | ${what} | ${text.replaceAll('<', '&lt;')} |`;
  });
  return ['| finding | check | severity | what | fix |', '|---|---|---|---|---|', ...rows].join('\n');
}
