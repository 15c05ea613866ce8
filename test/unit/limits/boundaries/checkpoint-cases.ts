import type { CasesOf } from './case.ts';

const TEST = 'test/unit/checkpoint/limits.test.ts';

/** What a checkpoint and its chunks may hold. */
export const CHECKPOINT_CASES: CasesOf<'protocols/feed/checkpoint.ts'> = {
  statementBytes: { shownBy: [TEST, 'a statement of so many bytes, and of one more'] },
  covers: { shownBy: [TEST, 'as many covers as there may be, and one more'] },
  prev: { shownBy: [TEST, 'as many of prev as there may be, and one more'] },
  generations: { shownBy: [TEST, 'the last generation, and one more'] },
  chunkBytes: { shownBy: [TEST, 'a chunk ends before the item that is more than it holds'] },
  chunkItems: { shownBy: [TEST, 'a chunk has so many items and no more'] },
  itemBytes: { shownBy: [TEST, 'an item of so many bytes, and of one more'] },
  values: { shownBy: [TEST, 'an item has so many values and no more'] },
  valueBytes: { shownBy: [TEST, 'an item ends before the text that is more than it holds'] },
};
