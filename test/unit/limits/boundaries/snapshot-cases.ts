import type { CasesOf } from './case.ts';

const WIRE = 'test/unit/checkpoint/snapshot-wire.test.ts';
const SLOTS = 'test/unit/mycelium/answer-slots.test.ts';
const SLOTS_TITLE = 'RANGE_LIMITS.answeringPerPeer for one peer, and RANGE_LIMITS.answering in total';
const FURTHER =
  'RANGE_LIMITS.further beyond the first of each peer, all together: four peers do not hold all of them';
const PER_PEER = 'more answers than one peer may have at a time are refused';
const OFTEN = 'whoever asks too often is refused until time has passed, and chunks count';

/** Snapshots of checkpoints, served and fetched. */
export const SNAPSHOT_CASES = {
  'protocols/mycelium/snapshot-request.ts': {
    requestBytes: { shownBy: [WIRE, 'a request has so many bytes at most'] },
    frameBytes: { shownBy: [WIRE, 'a frame of so many bytes comes whole, and a longer one is an offence'] },
    checkpoints: { shownBy: [WIRE, 'so many checkpoints in one answer'] },
    hashes: { shownBy: [WIRE, 'so many hashes in one frame'] },
    chunks: { shownBy: [WIRE, 'a request is for so many chunks at most'] },
    idleMs: { shownBy: [WIRE, 'a peer that says nothing is waited for only so long'] },
    answerMs: { shownBy: [WIRE, 'one answer ends after so long, however steadily it is given'] },
    answering: { shownBy: [SLOTS, SLOTS_TITLE] },
    answeringPerPeer: { shownBy: [WIRE, PER_PEER] },
    further: { shownBy: [SLOTS, FURTHER] },
    streams: { shownBy: [WIRE, PER_PEER] },
    askBurst: { shownBy: [WIRE, OFTEN] },
    askEveryMs: { shownBy: [WIRE, OFTEN] },
    askPages: { shownBy: [WIRE, OFTEN] },
  } satisfies CasesOf<'protocols/mycelium/snapshot-request.ts'>,
};
