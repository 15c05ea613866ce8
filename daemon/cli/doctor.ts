import chalk from 'chalk';
import { Command } from 'commander';
import type { DiffReport, DoctorReport } from '../../api/ports/doctor.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { isLoopbackHost, type SettingProblem, settingProblems, type Settings } from '../settings.ts';
import { notComparedText } from '../not-compared.ts';
import { readSettings } from '../secrets.ts';
import { systemEnv } from '../system-env.ts';
import { answerOf, connect } from './client.ts';
import { JSON_OPTION, printable, printJson, printLine } from './output.ts';

type Shown = Pick<DoctorReport, 'findings' | 'checked' | 'unchecked'> & { readonly healthy: boolean };

/** `agrinet doctor`: what is wrong with the node, and how to fix it. While the daemon is down, what can be checked without it. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('find current and upcoming problems of this node, each with the command that fixes it')
    .option(
      '--diff <peer>',
      'list the records that differ from those of a registered node, given by ID or URL',
    )
    .option('--deep', 'with --diff: compare every record, even where the stored checksums match')
    .option(...JSON_OPTION)
    .action(async (options: { json?: true; diff?: string; deep?: true }) => {
      if (options.diff !== undefined) return diff(options.diff, options.deep === true, options.json === true);
      const { report, down } = await examined();
      if (options.json) printJson(report);
      else printLine(reportText(report));
      if (report.healthy) return;
      const other = report.findings.some(({ check, severity }) => check !== 'daemon' && severity !== 'info');
      if (down !== undefined && !other) throw down;
      const count = report.findings.filter(({ severity }) => severity !== 'info').length;
      throw new AgrinetError('unhealthy', `${amount(count, 'problem')} found.`);
    });
}

async function examined(): Promise<{ readonly report: Shown; readonly down?: AgrinetError }> {
  let settings: Settings;
  try {
    settings = readSettings();
  } catch (error) {
    const problems = settingProblems(error);
    if (problems === undefined) throw error;
    return { report: await wrongSettings(problems) };
  }
  try {
    return { report: await answerOf(connect(settings).api.doctor.$get()) };
  } catch (error) {
    if (!(error instanceof AgrinetError) || error.code !== 'daemon-not-running') throw error;
    return { report: await withoutDaemon(settings, error), down: error };
  }
}

async function withoutDaemon(settings: Settings, down: AgrinetError): Promise<Shown> {
  const { CHECKS, finding } = await import('../doctor/finding.ts');
  const { examineOffline } = await import('../doctor/examine.ts');
  const { gatherOffline } = await import('../doctor/offline-facts.ts');
  const local = isLoopbackHost(new URL(settings.backendUrl).hostname);
  const found = local
    ? examineOffline(await gatherOffline({ settings, env: process.env, now: systemEnv.now() }))
    : [];
  const checks = Object.entries(CHECKS);
  const seen = ([check, { offline }]: (typeof checks)[number]): boolean =>
    check === 'daemon' || (offline && local);
  const id = local ? 'daemon-down' : 'daemon-not-there';
  const daemon = finding(id, { subject: settings.backendUrl, message: down.message });
  return {
    healthy: false,
    findings: [daemon, ...found],
    checked: checks.filter(seen).map(([check, { what }]) => ({ check, what })),
    unchecked: checks.filter((each) => !seen(each)).map(([check]) => ({ check, code: down.code })),
  };
}

/** With settings that cannot be read nothing else can be asked: each wrong one is a finding. */
async function wrongSettings(problems: readonly SettingProblem[]): Promise<Shown> {
  const { CHECKS } = await import('../doctor/finding.ts');
  const { wrongSetting } = await import('../doctor/checks/settings.ts');
  return {
    healthy: false,
    findings: problems.map((problem) => wrongSetting(problem)),
    checked: [{ check: 'settings', what: CHECKS.settings.what }],
    unchecked: Object.keys(CHECKS)
      .filter((check) => check !== 'settings')
      .map((check) => ({ check, code: 'settings-invalid' })),
  };
}

/** Ends with `unhealthy` when entries are the same and records are not; lag is not a fault. */
async function diff(peer: string, deep: boolean, asJson: boolean): Promise<void> {
  const report = await answerOf(connect().api.doctor.diff.$post({ json: { peer, deep } }));
  if (asJson) printJson(report);
  else printLine(diffText(report));
  if (report.damaged)
    throw new AgrinetError(
      'unhealthy',
      'Same entries but different records: stop each node and run `agrinet rebuild` on it, which derives its records from the signed entries again.',
    );
}

const SIDES = {
  equal: 'both nodes have the same entries',
  here: 'this node has more entries',
  there: 'the peer has more entries',
  both: 'each node has entries that the other lacks',
} as const;
const UNDECIDED =
  'entries arrived during the comparison, or it timed out; try again when the nodes are less busy';
const FORGOTTEN = 'its entries were deleted here (agrinet forget); nothing to compare';
/** A peer may follow thousands that this node does not. */
const ONE_SIDED_NAMED = 10;

function diffText(report: DiffReport): string {
  const cost = `${amount(report.requests, 'request')}, ${amount(report.bytes, 'byte')}`;
  const leftOut = report.notCompared.map((each) => `not compared: ${printable(notComparedText(each))}`);
  if (report.bySums > 0)
    leftOut.push(
      `skipped: the records of ${amount(report.bySums, 'owner')}, whose stored checksums match on both nodes; --deep also finds rows that were lost or damaged since`,
    );
  if (report.same) {
    const what =
      report.bySums > 0 ? 'The stored checksums match for the records' : 'Both nodes hold the same records';
    return [`${what} of ${amount(report.owners.length, 'owner')} (${cost}).`, ...leftOut].join('\n');
  }
  const oneSided = report.owners.filter(({ verdict }) => verdict === 'one-sided');
  const lines = report.owners.flatMap(({ owner, frontier, verdict, collections }) => {
    const who = printable(owner);
    if (verdict === 'same' || verdict === 'one-sided') return [];
    const word = verdict === 'damage' ? chalk.red(verdict) : chalk.yellow(verdict);
    const title = `${word} ${who}: ${verdict === 'undecided' ? UNDECIDED : verdict === 'forgotten' ? FORGOTTEN : SIDES[frontier]}`;
    if (verdict === 'forgotten') return [title];
    if (collections.length === 0)
      return [title, '  its records are identical; one of the nodes has stored a wrong checksum'];
    return [
      title,
      ...collections.flatMap(({ collection, onlyHere, onlyThere, different, more }) => [
        ...onlyHere.map((id) => `  only here   ${printable(collection)}/${printable(id)}`),
        ...onlyThere.map((id) => `  only there  ${printable(collection)}/${printable(id)}`),
        ...different.map((id) => `  different   ${printable(collection)}/${printable(id)}`),
        ...(more ? [`  and more in ${printable(collection)}`] : []),
      ]),
    ];
  });
  for (const { owner } of oneSided.slice(0, ONE_SIDED_NAMED))
    lines.push(`${printable(owner)}: followed by only one of the nodes`);
  const more = oneSided.length - ONE_SIDED_NAMED;
  if (more > 0) lines.push(`and ${more} more followed by only one of the nodes`);
  return [...lines, ...leftOut, `(${cost})`].join('\n');
}

function amount(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

const TITLES = [
  ['error', 'Errors', chalk.red],
  ['warning', 'Warnings', chalk.yellow],
  ['info', 'Notes', chalk.cyan],
] as const;

function reportText({ findings, checked, unchecked, healthy }: Shown): string {
  const lines = TITLES.flatMap(([severity, title, colour]) => {
    const group = findings.filter((each) => each.severity === severity);
    if (group.length === 0) return [];
    return [
      chalk.bold(colour(title)),
      ...group.flatMap(({ check, message, remedy }) => [
        `  ${printable(check)}: ${printable(message, 500)}`,
        `      ${chalk.dim('→')} ${printable(remedy, 300)}`,
      ]),
      '',
    ];
  });
  const left = unchecked.map(({ check }) => printable(check));
  if (left.length > 0) lines.push(`Not checked: ${[...new Set(left)].join(', ')}.`);
  lines.push(
    healthy
      ? `${checked.length} checks passed, no problems found.`
      : `${checked.length} checks: ${checked.map(({ check }) => printable(check)).join(', ')}.`,
  );
  return lines.join('\n');
}
