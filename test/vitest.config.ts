import { defineConfig } from 'vitest/config';
import { LongestFirst } from './support/longest-first.ts';

const ALL = ['test/unit/**/*.test.ts', 'test/sim/**/*.test.ts', 'test/e2e/**/*.test.ts'];
/** What puts other modules in the place of ours: Vite's module runner does that. */
const REPLACING = ['test/unit/digest/versions.test.ts', 'test/unit/limits/trickle.test.ts'];
/**
 * What measures its own process, or how others are served beside those who are slow, has the machine to itself; so has what leaves running
 * what a crash would have ended: worlds in the same process would see it ask for the time.
 */
const MEASURING = [
  'test/e2e/limits.test.ts',
  'test/sim/floods.test.ts',
  'test/sim/tarpit.test.ts',
  'test/unit/scrub/scrub.test.ts',
  'test/unit/backup/backup-file.test.ts',
  'test/unit/limits/as-clients-ask.test.ts',
  'test/unit/open-dialog/clocks.test.ts',
  'test/unit/jobs/queues.test.ts',
  'test/e2e/events.test.ts',
  'test/sim/main-loop.test.ts',
];
/** One file at a time, apart from all others. */
const ALONE = { maxWorkers: 1, sequence: { groupOrder: 0 } };
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
    sequence: { sequencer: LongestFirst },
    projects: [
      { extends: true, test: { name: 'replacing', include: REPLACING, ...ALONE } },
      { extends: true, test: { name: 'measuring', include: MEASURING, experimental: NATIVE, ...ALONE } },
      // Loading costs most files more than testing: those that one worker is given share what they load.
      {
        extends: true,
        test: {
          name: 'sharing',
          include: ALL,
          exclude: [...REPLACING, ...MEASURING],
          isolate: false,
          sequence: { groupOrder: 1 },
          experimental: NATIVE,
        },
      },
    ],
  },
});
