import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The files that take longest, by what they took in CI; all others are short. */
const LONGEST = [
  'e2e/mirror',
  'sim/merge',
  'sim/world',
  'e2e/kill',
  'e2e/reach',
  'e2e/backup',
  'sim/migration-kills',
  'e2e/story',
  'e2e/strangers-road',
  'sim/stall-share',
  'e2e/service',
  'e2e/trouble',
  'e2e/wants-kill',
  'e2e/notices-kill',
  'e2e/full-disk-mixed',
  'e2e/slow-clients',
  'e2e/restore',
  'sim/openapi',
  'sim/convergence',
  'e2e/heal',
  'e2e/install',
  'sim/log-tail',
  'e2e/forget',
  'e2e/rebuild',
  'e2e/full-disk',
  'unit/doctor/findings',
  'sim/contract-interleavings',
  'e2e/mirror-daemon',
  'e2e/idempotency',
  'sim/scrub',
  'sim/fork',
  'e2e/notify',
  'e2e/cli-output',
  'e2e/shutdown',
  'sim/table-damage',
  'e2e/jobs-cli',
  'sim/fuzz',
  'e2e/signals',
  'e2e/rejoin',
  'e2e/doctor-diff',
  'sim/stops',
  'e2e/clock-jumps',
  'e2e/trust',
  'e2e/jobs-redis',
  'e2e/demo',
].map((name) => `/test/${name}.test.ts`);

const place = ({ moduleId }: TestSpecification): number => {
  const at = LONGEST.findIndex((name) => moduleId.endsWith(name));
  return at === -1 ? LONGEST.length : at;
};

/** Within a project the longest files come first, so that none of them is left over for one worker at the end. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const byProject = Map.groupBy(await super.sort(files), ({ project }) => project.name);
    return [...byProject.values()].flatMap((each) => each.toSorted((a, b) => place(a) - place(b)));
  }
}
