/** One metric: what it is for Prometheus, and what stands in the runbook. */
export interface MetricDefinition {
  readonly name: `agrinet_${string}`;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels?: readonly string[];
  /** Upper bounds, in the metric's unit. */
  readonly buckets?: readonly number[];
  /**
   * Who may scrape it: everybody who may read, or, where nothing is said, the operator alone. Only what no private channel can move is
   * public: of the rest even a counter of commits, of requests or of bytes on disk tells when something private happens.
   */
  readonly audience?: 'public';
}

export const METRICS_LIMITS = {
  /** Registered peers with series of their own, in the order of their ids; the rest is summed as `other`. */
  peers: 64,
  /** Codes of one counter: ours are fewer; whatever else comes is counted as `other`. */
  codes: 96,
  /** All series together, whatever callers and peers do; a node at rest has about 250. */
  series: 5000,
  /** How long the size of the database on disk is kept: each look is a `stat` of every file, milliseconds. */
  sizeKeptMs: 30_000,
} as const;

/** Every metric of this node; the process’s own come from the library beside them. The runbook’s table is made from this. */
export const METRICS = {
  build: {
    name: 'agrinet_build_info',
    type: 'gauge',
    help: 'Always 1; the version of agrinetd and of Node.js.',
    labels: ['version', 'node'],
    audience: 'public',
  },
  logDropped: {
    name: 'agrinet_log_lines_dropped_total',
    type: 'counter',
    help: 'Log lines that were not written: the output was full, or nobody read it.',
  },
  writable: {
    name: 'agrinet_writable',
    type: 'gauge',
    help: '1 while writes are taken, 0 while refused.',
    audience: 'public',
  },
  alarms: {
    name: 'agrinet_alarms_total',
    type: 'counter',
    help: 'Alarms raised.',
    labels: ['kind'],
  },

  feeds: {
    name: 'agrinet_feeds',
    type: 'gauge',
    help: 'Feeds held; private ones for the operator alone.',
    labels: ['channel'],
    audience: 'public',
  },
  entries: {
    name: 'agrinet_entries',
    type: 'gauge',
    help: 'Entries held; private ones for the operator alone.',
    labels: ['channel'],
    audience: 'public',
  },
  forkedFeeds: {
    name: 'agrinet_forked_feeds',
    type: 'gauge',
    help: 'Feeds with a proof of equivocation.',
    audience: 'public',
  },
  records: {
    name: 'agrinet_records',
    type: 'gauge',
    help: 'Public records that count, over all owners.',
    labels: ['collection'],
    audience: 'public',
  },
  commits: { name: 'agrinet_commits_total', type: 'counter', help: 'Commits.', labels: ['origin'] },
  committedEntries: {
    name: 'agrinet_committed_entries_total',
    type: 'counter',
    help: 'Entries stored.',
    labels: ['origin'],
  },
  merges: {
    name: 'agrinet_merges_total',
    type: 'counter',
    help: 'Records changed: `fast` without opening a document, `automerge` where changes were concurrent.',
    labels: ['road'],
  },
  mergeSeconds: {
    name: 'agrinet_merge_seconds',
    type: 'histogram',
    help: 'Time that a commit waited for the values of a document with concurrent changes.',
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
  },

  nodes: {
    name: 'agrinet_registered_nodes',
    type: 'gauge',
    help: 'Nodes in the registry.',
    labels: ['status'],
    audience: 'public',
  },
  connections: {
    name: 'agrinet_connections',
    type: 'gauge',
    help: 'Open libp2p connections.',
    labels: ['kind'],
  },
  dht: {
    name: 'agrinet_dht_table_peers',
    type: 'gauge',
    help: 'Peers in the routing table of the DHT.',
    audience: 'public',
  },
  lag: {
    name: 'agrinet_peer_lag_entries',
    type: 'gauge',
    help: 'Entries that a registered peer has shown and that are lacking here.',
    labels: ['peer'],
    audience: 'public',
  },
  connected: {
    name: 'agrinet_peer_connected',
    type: 'gauge',
    help: '1 while a registered peer is connected; of `other` how many are.',
    labels: ['peer'],
    audience: 'public',
  },
  reached: {
    name: 'agrinet_peer_reached',
    type: 'gauge',
    help: '1 while a registered peer has been heard from within 75 s, over whatever; of `other` how many have.',
    labels: ['peer'],
    audience: 'public',
  },
  gossipReceived: {
    name: 'agrinet_gossip_received_total',
    type: 'counter',
    help: 'Gossip messages that came, by what became of them.',
    labels: ['verdict'],
  },
  gossipPublished: {
    name: 'agrinet_gossip_published_total',
    type: 'counter',
    help: 'Gossip messages of this node’s own.',
  },
  pulls: {
    name: 'agrinet_catch_up_pulls_total',
    type: 'counter',
    help: 'Pulls from peers over libp2p that ended well.',
  },
  pulledEntries: {
    name: 'agrinet_catch_up_entries_total',
    type: 'counter',
    help: 'Entries that such pulls brought.',
  },
  pullFailures: {
    name: 'agrinet_catch_up_failures_total',
    type: 'counter',
    help: 'Exchanges with peers that failed.',
    labels: ['code'],
  },
  wanted: { name: 'agrinet_catch_up_pending', type: 'gauge', help: 'Feeds to be pulled now.' },
  entriesRefused: {
    name: 'agrinet_entries_refused_total',
    type: 'counter',
    help: 'Entries of peers that were not taken.',
    labels: ['code'],
  },
  digestDiffers: {
    name: 'agrinet_digest_differs_total',
    type: 'counter',
    help: 'Times that a peer showed an equal frontier and another digest.',
    audience: 'public',
  },

  listenerFailures: {
    name: 'agrinet_listener_failures_total',
    type: 'counter',
    help: 'Times that a part of the node failed over something it was told; the alarm `listener-failed` names it.',
    labels: ['listener'],
  },

  requests: {
    name: 'agrinet_http_requests_total',
    type: 'counter',
    help: 'Requests answered. `route` is a pattern, `none` what no route took; `status` is a class such as 2xx.',
    labels: ['route', 'method', 'status'],
  },
  requestSeconds: {
    name: 'agrinet_http_request_seconds',
    type: 'histogram',
    help: 'Time to the begin of the answer.',
    labels: ['route'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
  },
  refusals: {
    name: 'agrinet_http_refusals_total',
    type: 'counter',
    help: 'Requests refused with an error body.',
    labels: ['code'],
  },
  streams: { name: 'agrinet_sse_streams', type: 'gauge', help: 'Open event streams.' },
  streamsOpened: { name: 'agrinet_sse_opened_total', type: 'counter', help: 'Event streams opened.' },
  streamsDropped: {
    name: 'agrinet_sse_dropped_total',
    type: 'counter',
    help: 'Event streams closed because their client was too slow.',
  },

  batches: {
    name: 'agrinet_leveldb_batches_total',
    type: 'counter',
    help: 'Batches written; `synced` waited for the disk.',
    labels: ['synced'],
  },
  batchesFailed: { name: 'agrinet_leveldb_failures_total', type: 'counter', help: 'Batches that failed.' },
  reopenings: {
    name: 'agrinet_leveldb_reopenings_total',
    type: 'counter',
    help: 'Openings of the database after a failure.',
  },
  syncSeconds: {
    name: 'agrinet_leveldb_sync_seconds',
    type: 'histogram',
    help: 'Time of a batch that waited for the disk.',
    buckets: [0.0005, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2],
  },
  levelFiles: {
    name: 'agrinet_leveldb_files',
    type: 'gauge',
    help: 'Table files by level.',
    labels: ['level'],
  },
  size: { name: 'agrinet_leveldb_size_bytes', type: 'gauge', help: 'Size of the database on disk.' },
  diskFree: { name: 'agrinet_disk_free_bytes', type: 'gauge', help: 'Free on the disk of `DATA_DIR`.' },
  diskReserve: {
    name: 'agrinet_disk_reserve_bytes',
    type: 'gauge',
    help: 'Below this writes are refused (`DISK_RESERVE_MB`).',
  },

  scrubRunning: {
    name: 'agrinet_scrub_running',
    type: 'gauge',
    help: '1 while a pass of the scrub is under way, its pauses among it.',
  },
  scrubRows: {
    name: 'agrinet_scrub_rows',
    type: 'gauge',
    help: 'Rows compared with the feeds in the pass under way, or in the last one.',
  },
  scrubWrong: {
    name: 'agrinet_scrub_wrong_rows_total',
    type: 'counter',
    help: 'Rows that were not what the feeds say.',
    labels: ['table'],
  },
  scrubEnded: {
    name: 'agrinet_scrub_last_end_timestamp_seconds',
    type: 'gauge',
    help: 'When the last pass ended; no series before the first one.',
  },

  jobs: { name: 'agrinet_jobs', type: 'gauge', help: 'Jobs.', labels: ['queue', 'state'] },
  jobsUp: {
    name: 'agrinet_jobs_queue_up',
    type: 'gauge',
    help: '1 while jobs can be handed out, 0 while Redis is away.',
    labels: ['queue'],
  },

  mirrorState: {
    name: 'agrinet_mirror_state',
    type: 'gauge',
    help: '1 for the state that the mirror is in; no series without a mirror.',
    labels: ['state'],
  },
  mirrorPending: {
    name: 'agrinet_mirror_pending',
    type: 'gauge',
    help: 'Items that wait for the mirror’s tables.',
  },
  mirrorLag: {
    name: 'agrinet_mirror_lag_seconds',
    type: 'gauge',
    help: 'Age of the oldest of them.',
  },
  mirrorInFlight: { name: 'agrinet_mirror_in_flight', type: 'gauge', help: 'Items being written now.' },
  mirrorRefused: {
    name: 'agrinet_mirror_refused',
    type: 'gauge',
    help: 'Items that the tables cannot take.',
  },
} as const satisfies Record<string, MetricDefinition>;

export type MetricKey = keyof typeof METRICS;

/** The runbook's table of metrics, in markdown. */
export function metricsTable(): string {
  const rows = Object.values<MetricDefinition>(METRICS).map(
    ({ name, type, labels = [], audience = 'operator', help }) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${audience} | ${help} |`,
  );
  return ['| metric | type | labels | for | meaning |', '|---|---|---|---|---|', ...rows].join('\n');
}
