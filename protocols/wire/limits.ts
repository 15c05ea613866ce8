/**
 * Every limit of the wire format, with its reason. `protocols/README.md` shows the same table.
 * Sizes are bytes, times milliseconds.
 */
export const LIMITS = {
  /** One entry with its body. Nothing larger is signed, and every carrier's bound is derived from it: what can be committed can be sent. */
  entryBytes: 1024 * 1024,
  /** Ops in one entry. */
  entryOps: 1024,
  /** The largest `seq`: entries of one epoch in one channel, and a number that has its place in every key. */
  feedEntries: 0xffff_ffff,
  /** Above this an entry is announced and pulled, because every gossip message is sent several times. */
  gossipEntryBytes: 64 * 1024,
  /** Data items in one payload, counted before the first is built: an erasure of every op of an entry has 3,100. */
  payloadItems: 4096,
  /** Around the bytes of an entry in what carries it: a frame of a range has at most `entryBytes` and this much. */
  carrierBytes: 64,
  /** One header payload; two of them and their signatures make a proof under 2 KiB. */
  headerBytes: 4096,
  /** Feeds of earlier epochs that one header may name; a node writes at most this many and leaves the oldest out. */
  afterEpochs: 32,
  /** One op, its payload included. */
  opBytes: 64 * 1024,
  /** A record key (`owner` or `owner/local id`). */
  keyBytes: 160,
  /** Field ops in one change. */
  changeOps: 256,
  /** Participants of one private record. */
  participants: 16,
  /** New epochs of one author accepted per day: a restart every 90 seconds. */
  epochsPerDay: 1000,
  /** So many times as many feeds of private channels: each new conversation is one. */
  privateFeedsPerEpoch: 10,
  /** Forks of one epoch accepted per day, each lower than the last: each one makes records be evaluated again. */
  forksPerEpochDay: 8,
  /** Forks of one author accepted per day: a cloned node forks a few epochs, and more in its private channels. */
  forksPerDay: 100,
  /** A time further ahead than this is stored but does not advance our clock. */
  clockAheadMs: 5 * 60 * 1000,
  /** Collections that a node lists as known, on each page of its frontier: three times as many as there are. */
  knownCollections: 32,
  /** One frontier page. */
  frontierBytes: 64 * 1024,
} as const;
