import type { CasesOf } from './case.ts';

const TEST = 'test/unit/attachments/attachments.test.ts';
const STREAMS = 'test/unit/attachments/attachment-protocol.test.ts';
const FETCHES = 'test/unit/attachments/fetches.test.ts';
const SLOTS = 'test/unit/mycelium/answer-slots.test.ts';
const SLOTS_TITLE = 'RANGE_LIMITS.answeringPerPeer for one peer, and RANGE_LIMITS.answering in total';
const FURTHER =
  'RANGE_LIMITS.further beyond the first of each peer, all together: four peers do not hold all of them';

/** Pictures and files of records. */
export const ATTACHMENT_CASES = {
  'protocols/market/attachment.ts': {
    attachmentBytes: {
      shownBy: [TEST, 'an upload has one megabyte at most, raw, in a form, in a message and under gzip'],
    },
    perRecord: { shownBy: [TEST, 'a record names as many as it may, and no more'] },
    nameCharacters: { shownBy: [STREAMS, 'a reference has a name and a type of so many characters at most'] },
    typeCharacters: { shownBy: [STREAMS, 'a reference has a name and a type of so many characters at most'] },
  } satisfies CasesOf<'protocols/market/attachment.ts'>,
  'protocols/mycelium/attachment-protocol.ts': {
    requestBytes: { shownBy: [STREAMS, 'a request has so many bytes at most'] },
    answerBytes: {
      shownBy: [STREAMS, 'an answer of so many bytes comes whole, and a longer one is an offence'],
    },
    exchangeMs: { shownBy: [STREAMS, 'a peer that says nothing is waited for only so long'] },
    streams: { shownBy: [STREAMS, 'more answers than one peer may have at a time are refused'] },
    answering: { shownBy: [SLOTS, SLOTS_TITLE] },
    answeringPerPeer: { shownBy: [STREAMS, 'more answers than one peer may have at a time are refused'] },
    further: { shownBy: [SLOTS, FURTHER] },
  } satisfies CasesOf<'protocols/mycelium/attachment-protocol.ts'>,
  'daemon/attachments/attachments.ts': {
    unnamed: { shownBy: [TEST, 'uploads that nothing names are counted for each user'] },
  } satisfies CasesOf<'daemon/attachments/attachments.ts'>,
  'daemon/attachments/fetches.ts': {
    fetching: { shownBy: [FETCHES, 'so many are under way in all, and of one author fewer'] },
    fetchingPerAuthor: { shownBy: [FETCHES, 'so many are under way in all, and of one author fewer'] },
    fetchMs: { shownBy: [FETCHES, 'a fetch that takes too long ends'] },
    peers: { shownBy: [FETCHES, 'asks so many peers, the first that has it last'] },
    failedMs: { shownBy: [FETCHES, 'what nobody had is not asked for again so soon'] },
    failed: { shownBy: [FETCHES, 'remembers so many that nobody had'] },
  } satisfies CasesOf<'daemon/attachments/fetches.ts'>,
};
