import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The files that take longest, by what they took in CI; all others are short. */
const LONGEST = [
  'e2e/service',
  'e2e/backup',
  'sim/world',
  'sim/merge',
  'unit/doctor/findings',
  'e2e/contracts',
  'e2e/rejoin',
  'e2e/forget',
  'e2e/mirror',
  'e2e/mirror-daemon',
  'e2e/trouble',
  'e2e/doctor-diff',
  'e2e/install',
  'e2e/kenya',
  'e2e/limits',
  'e2e/erasure',
  'e2e/feed-file',
  'e2e/jobs-redis',
  'e2e/clock-jumps',
  'e2e/shutdown',
  'sim/log-tail',
  'sim/fuzz',
  'sim/fork',
  'sim/stops',
  'sim/stall-share',
  'e2e/red-team-market',
  'unit/api/geofence',
  'unit/daemon/libp2p-host',
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
