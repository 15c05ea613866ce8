import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './support/longest-first.ts';

const ALL = ['test/unit/**/*.test.ts', 'test/sim/**/*.test.ts', 'test/e2e/**/*.test.ts'];
/** What puts other modules in the place of ours: Vite's module runner does that. */
const REPLACING = ['test/unit/digest/versions.test.ts'];
/** So does this, and it also measures how others are served. */
const REPLACING_AND_MEASURING = ['test/unit/limits/trickle.test.ts'];
/**
 * What has a process to itself: its own memory is measured, or it leaves running what a crash would have ended, and worlds in the same process
 * would see that ask for the time.
 */
const APART = [
  'test/unit/backup/backup-file.test.ts',
  'test/unit/limits/as-clients-ask.test.ts',
  'test/unit/open-dialog/clocks.test.ts',
  'test/unit/jobs/queues.test.ts',
];
/** What measures how long something takes, or how others are served meanwhile, has a core to itself. */
const MEASURING = [
  'test/e2e/limits.test.ts',
  'test/sim/tarpit.test.ts',
  'test/unit/scrub/scrub.test.ts',
  'test/e2e/events.test.ts',
  'test/sim/main-loop.test.ts',
  'test/sim/stall-share.test.ts',
  'test/unit/open-dialog/merge-storms.test.ts',
  'test/unit/checkpoint/many.test.ts',
  'test/unit/mycelium/lying-frontiers.test.ts',
  'test/sim/fuzz.test.ts',
];
/** What computes most of the time and waits for no clock: CI runs it at a low priority beside all others, where a core is idle. */
const BACKGROUND = [
  'test/sim/merge.test.ts',
  'test/sim/world.test.ts',
  'test/sim/migration-kills.test.ts',
  'test/sim/convergence.test.ts',
  'test/sim/contract-interleavings.test.ts',
  'test/sim/log-tail.test.ts',
];
/** Two files at a time, before all others: most of them wait for deadlines. */
const ALONE = { maxWorkers: 2, sequence: { groupOrder: 0 } };
/** On as many workers as there are. */
const TOGETHER = { sequence: { groupOrder: 1 } };
/** Node runs the sources as they stand, as it does outside of tests. */
const NATIVE = { viteModuleRunner: false, nodeLoader: false };

// Hundreds of daemons start in the tests: what Node compiles for one serves the others.
process.env['NODE_COMPILE_CACHE'] ??= new URL('../node_modules/.cache/node', import.meta.url).pathname;

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Many tests wait: four at once keep two cores busy, and five were no faster.
    maxWorkers: Math.max(4, availableParallelism()),
    sequence: { sequencer: LongestFirst },
    projects: [
      { extends: true, test: { name: 'measuring', include: MEASURING, experimental: NATIVE, ...ALONE } },
      {
        extends: true,
        test: { name: 'replacing and measuring', include: REPLACING_AND_MEASURING, ...ALONE },
      },
      { extends: true, test: { name: 'replacing', include: REPLACING, ...TOGETHER } },
      { extends: true, test: { name: 'apart', include: APART, experimental: NATIVE, ...TOGETHER } },
      // Loading costs most files more than testing: those that one worker is given share what they load.
      {
        extends: true,
        test: {
          name: 'background',
          include: BACKGROUND,
          // COUNT makes campaigns of some of them.
          testTimeout: 3_600_000,
          maxWorkers: Math.max(2, availableParallelism()),
          sequence: { groupOrder: 2 },
          isolate: false,
          experimental: NATIVE,
        },
      },
      {
        extends: true,
        test: {
          name: 'sharing',
          include: ALL,
          exclude: [...REPLACING, ...REPLACING_AND_MEASURING, ...APART, ...MEASURING, ...BACKGROUND],
          isolate: false,
          experimental: NATIVE,
          ...TOGETHER,
        },
      },
    ],
  },
});
