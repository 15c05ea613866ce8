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

type Options = Pick<MetricDefinition, 'labels' | 'buckets' | 'audience'>;

const kind =
  <T extends MetricDefinition['type']>(type: T) =>
  <const O extends Options>(name: MetricDefinition['name'], help: string, options: O = {} as O) => ({
    name,
    type,
    help,
    ...options,
  });
const counter = kind('counter');
const gauge = kind('gauge');
const histogram = kind('histogram');
const PUBLIC = { audience: 'public' } as const;

/** Every metric of this node; the process’s own come from the library beside them. The runbook’s table is made from this. */
export const METRICS = {
  build: gauge('agrinet_build_info', 'Always 1; the version of agrinetd and of Node.js.', {
    labels: ['version', 'node'],
    ...PUBLIC,
  }),
  logDropped: counter(
    'agrinet_log_lines_dropped_total',
    'Log lines that were not written: the output was full, or nobody read it.',
  ),
  writable: gauge('agrinet_writable', '1 while writes are taken, 0 while refused.', PUBLIC),
  alarms: counter('agrinet_alarms_total', 'Alarms raised.', { labels: ['kind'] }),

  feeds: gauge('agrinet_feeds', 'Feeds held; private ones for the operator alone.', {
    labels: ['channel'],
    ...PUBLIC,
  }),
  entries: gauge('agrinet_entries', 'Entries held; private ones for the operator alone.', {
    labels: ['channel'],
    ...PUBLIC,
  }),
  forkedFeeds: gauge('agrinet_forked_feeds', 'Feeds with a proof of equivocation.', PUBLIC),
  records: gauge('agrinet_records', 'Public records that count, over all owners.', {
    labels: ['collection'],
    ...PUBLIC,
  }),
  commits: counter('agrinet_commits_total', 'Commits.', { labels: ['origin'] }),
  committedEntries: counter('agrinet_committed_entries_total', 'Entries stored.', { labels: ['origin'] }),
  merges: counter(
    'agrinet_merges_total',
    'Records changed: `fast` without opening a document, `automerge` where changes were concurrent.',
    { labels: ['road'] },
  ),
  mergeSeconds: histogram(
    'agrinet_merge_seconds',
    'Time that a commit waited for the values of a document with concurrent changes.',
    { buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10] },
  ),

  nodes: gauge('agrinet_registered_nodes', 'Nodes in the registry.', { labels: ['status'], ...PUBLIC }),
  connections: gauge('agrinet_connections', 'Open libp2p connections.', { labels: ['kind'] }),
  dht: gauge('agrinet_dht_table_peers', 'Peers in the routing table of the DHT.', PUBLIC),
  lag: gauge(
    'agrinet_peer_lag_entries',
    'Entries that a registered peer has shown and that are lacking here.',
    { labels: ['peer'], ...PUBLIC },
  ),
  connected: gauge(
    'agrinet_peer_connected',
    '1 while a registered peer is connected; of `other` how many are.',
    { labels: ['peer'], ...PUBLIC },
  ),
  reached: gauge(
    'agrinet_peer_reached',
    '1 while a registered peer has been heard from within 75 s, over whatever; of `other` how many have.',
    { labels: ['peer'], ...PUBLIC },
  ),
  gossipReceived: counter(
    'agrinet_gossip_received_total',
    'Gossip messages that came, by what became of them.',
    { labels: ['verdict'] },
  ),
  gossipPublished: counter('agrinet_gossip_published_total', 'Gossip messages of this node’s own.'),
  pulls: counter('agrinet_catch_up_pulls_total', 'Pulls from peers over libp2p that ended well.'),
  pulledEntries: counter('agrinet_catch_up_entries_total', 'Entries that such pulls brought.'),
  pullFailures: counter('agrinet_catch_up_failures_total', 'Exchanges with peers that failed.', {
    labels: ['code'],
  }),
  wanted: gauge('agrinet_catch_up_pending', 'Feeds to be pulled now.'),
  entriesRefused: counter('agrinet_entries_refused_total', 'Entries of peers that were not taken.', {
    labels: ['code'],
  }),
  digestDiffers: counter(
    'agrinet_digest_differs_total',
    'Times that a peer showed an equal frontier and another digest.',
    PUBLIC,
  ),

  listenerFailures: counter(
    'agrinet_listener_failures_total',
    'Times that a part of the node failed over something it was told; the alarm `listener-failed` names it.',
    { labels: ['listener'] },
  ),

  requests: counter(
    'agrinet_http_requests_total',
    'Requests answered. `route` is a pattern, `none` what no route took; `status` is a class such as 2xx.',
    { labels: ['route', 'method', 'status'] },
  ),
  requestSeconds: histogram('agrinet_http_request_seconds', 'Time to the begin of the answer.', {
    labels: ['route'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
  }),
  refusals: counter('agrinet_http_refusals_total', 'Requests refused with an error body.', {
    labels: ['code'],
  }),
  streams: gauge('agrinet_sse_streams', 'Open event streams.'),
  streamsOpened: counter('agrinet_sse_opened_total', 'Event streams opened.'),
  streamsDropped: counter(
    'agrinet_sse_dropped_total',
    'Event streams closed because their client was too slow.',
  ),

  batches: counter('agrinet_leveldb_batches_total', 'Batches written; `synced` waited for the disk.', {
    labels: ['synced'],
  }),
  batchesFailed: counter('agrinet_leveldb_failures_total', 'Batches that failed.'),
  reopenings: counter('agrinet_leveldb_reopenings_total', 'Openings of the database after a failure.'),
  syncSeconds: histogram('agrinet_leveldb_sync_seconds', 'Time of a batch that waited for the disk.', {
    buckets: [0.0005, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2],
  }),
  levelFiles: gauge('agrinet_leveldb_files', 'Table files by level.', { labels: ['level'] }),
  size: gauge('agrinet_leveldb_size_bytes', 'Size of the database on disk.'),
  diskFree: gauge('agrinet_disk_free_bytes', 'Free on the disk of `DATA_DIR`.'),
  diskReserve: gauge('agrinet_disk_reserve_bytes', 'Below this writes are refused (`DISK_RESERVE_MB`).'),

  scrubRunning: gauge(
    'agrinet_scrub_running',
    '1 while a pass of the scrub is under way, its pauses among it.',
  ),
  scrubRows: gauge(
    'agrinet_scrub_rows',
    'Rows compared with the feeds in the pass under way, or in the last one.',
  ),
  scrubWrong: counter('agrinet_scrub_wrong_rows_total', 'Rows that did not match the feeds.', {
    labels: ['table'],
  }),
  scrubEnded: gauge(
    'agrinet_scrub_last_end_timestamp_seconds',
    'When the last pass ended; no series before the first one.',
  ),

  jobs: gauge('agrinet_jobs', 'Jobs.', { labels: ['queue', 'state'] }),
  jobsUp: gauge('agrinet_jobs_queue_up', '1 while jobs can be handed out, 0 while Redis is away.', {
    labels: ['queue'],
  }),

  mirrorState: gauge(
    'agrinet_mirror_state',
    '1 for the state that the mirror is in; no series without a mirror.',
    { labels: ['state'] },
  ),
  mirrorPending: gauge('agrinet_mirror_pending', 'Items that wait for the mirror’s tables.'),
  mirrorLag: gauge('agrinet_mirror_lag_seconds', 'Age of the oldest of them.'),
  mirrorInFlight: gauge('agrinet_mirror_in_flight', 'Items being written now.'),
  mirrorRefused: gauge('agrinet_mirror_refused', 'Items that the tables cannot take.'),
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
