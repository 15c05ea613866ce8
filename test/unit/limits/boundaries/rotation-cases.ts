import type { CasesOf } from './case.ts';

const TEST = 'test/unit/rotation/limits.test.ts';

/** What a rotation may hold, and how many are told apart. */
export const ROTATION_CASES: CasesOf<'protocols/rotation/statement.ts'> = {
  bytes: { shownBy: [TEST, 'a rotation of so many bytes, and of one more'] },
  cut: { shownBy: [TEST, 'as many epochs in a cut as there may be, and one more'] },
  seen: { shownBy: [TEST, 'as many epochs seen as there may be, and one more'] },
  generations: { shownBy: [TEST, 'the last generation, and one more'] },
  rivals: { shownBy: [TEST, 'as many rivals as are told apart, and one more'] },
};
