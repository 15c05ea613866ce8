import { defineConfig } from 'vitest/config';

/** What starts no node and replaces no module: loading costs these files more than testing, so those of one worker share what they load. */
const SHARING = ['market', 'feed', 'wire', 'open-dialog', 'storage'].map(
  (room) => `test/unit/${room}/**/*.test.ts`,
);
const ALL = ['test/unit/**/*.test.ts', 'test/sim/**/*.test.ts', 'test/e2e/**/*.test.ts'];

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'sharing', include: SHARING, isolate: false } },
      { extends: true, test: { name: 'alone', include: ALL, exclude: SHARING } },
    ],
  },
});
