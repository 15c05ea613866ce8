/** One metric, as Prometheus and the runbook describe it. */
export interface MetricDefinition {
  readonly name: `agrinet_${string}`;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels?: readonly string[];
  /** Upper bounds, in the metric's unit. */
  readonly buckets?: readonly number[];
  /**
   * Who may scrape it: everybody with read access, or by default the operator only. A metric is public only if no private channel
   * can change it: even a counter of commits, requests or bytes on disk reveals private activity.
   */
  readonly audience?: 'public';
}

export const METRICS_LIMITS = {
  /** Registered peers with series of their own, in the order of their ids; the rest are summed as `other`. */
  peers: 64,
  /** Codes of one counter: our own are fewer; any other is counted as `other`. */
  codes: 96,
  /** All series together, whatever callers and peers do; an idle node has about 250. */
  series: 5000,
  /** How long the size of the database on disk is cached, in milliseconds: measuring it takes a `stat` of every file. */
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

/** Every metric of this node; those of the process come from the library. The runbook’s table is generated from this. */
export const METRICS = {
  build: gauge('agrinet_build_info', 'Always 1; the labels are the versions of agrinetd and Node.js.', {
    labels: ['version', 'node'],
    ...PUBLIC,
  }),
  logDropped: counter(
    'agrinet_log_lines_dropped_total',
    'Log lines dropped because the output was full or not being read.',
  ),
  writable: gauge('agrinet_writable', '1 while writes are accepted, 0 while they are refused.', PUBLIC),
  alarms: counter('agrinet_alarms_total', 'Alarms raised.', { labels: ['kind'] }),

  feeds: gauge('agrinet_feeds', 'Feeds held; private ones are shown to the operator only.', {
    labels: ['channel'],
    ...PUBLIC,
  }),
  entries: gauge('agrinet_entries', 'Entries held; private ones are shown to the operator only.', {
    labels: ['channel'],
    ...PUBLIC,
  }),
  forkedFeeds: gauge('agrinet_forked_feeds', 'Feeds with a proof of equivocation.', PUBLIC),
  records: gauge('agrinet_records', 'Public records in effect, of all owners.', {
    labels: ['collection'],
    ...PUBLIC,
  }),
  commits: counter('agrinet_commits_total', 'Commits to the database.', { labels: ['origin'] }),
  committedEntries: counter('agrinet_committed_entries_total', 'Entries stored.', { labels: ['origin'] }),
  merges: counter(
    'agrinet_merges_total',
    'Records changed: `fast` without opening a document, `automerge` if changes were concurrent.',
    { labels: ['path'] },
  ),
  mergeSeconds: histogram(
    'agrinet_merge_seconds',
    'Time that a commit waited for the merge of a document with concurrent changes.',
    { buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10] },
  ),

  nodes: gauge('agrinet_registered_nodes', 'Nodes in the registry.', { labels: ['status'], ...PUBLIC }),
  connections: gauge('agrinet_connections', 'Open libp2p connections.', { labels: ['kind'] }),
  dht: gauge('agrinet_dht_table_peers', 'Peers in the routing table of the DHT.', PUBLIC),
  lag: gauge(
    'agrinet_peer_lag_entries',
    'Entries that a registered peer has shown and that are missing here.',
    { labels: ['peer'], ...PUBLIC },
  ),
  connected: gauge(
    'agrinet_peer_connected',
    '1 while a registered peer is connected; for `other`, how many are.',
    { labels: ['peer'], ...PUBLIC },
  ),
  reached: gauge(
    'agrinet_peer_reached',
    '1 while a registered peer has been heard from within 75 s, over any transport; for `other`, how many have.',
    { labels: ['peer'], ...PUBLIC },
  ),
  gossipReceived: counter('agrinet_gossip_received_total', 'Gossip messages received, by verdict.', {
    labels: ['verdict'],
  }),
  gossipPublished: counter('agrinet_gossip_published_total', 'Gossip messages published by this node.'),
  pulls: counter('agrinet_catch_up_pulls_total', 'Successful pulls from peers over libp2p.'),
  pulledEntries: counter('agrinet_catch_up_entries_total', 'Entries received by pulls over libp2p.'),
  pullFailures: counter('agrinet_catch_up_failures_total', 'Failed exchanges with peers.', {
    labels: ['code'],
  }),
  wanted: gauge('agrinet_catch_up_pending', 'Feeds waiting to be pulled.'),
  entriesRefused: counter('agrinet_entries_refused_total', 'Entries from peers that were refused.', {
    labels: ['code'],
  }),
  digestDiffers: counter(
    'agrinet_digest_differs_total',
    'Times that a peer showed an equal frontier but a different digest.',
    PUBLIC,
  ),

  listenerFailures: counter(
    'agrinet_listener_failures_total',
    'Times that a part of the node failed to process an event; the alarm `listener-failed` names it.',
    { labels: ['listener'] },
  ),

  requests: counter(
    'agrinet_http_requests_total',
    'Requests answered. `route` is a pattern, or `none` if no route matched; `status` is a class such as 2xx.',
    { labels: ['route', 'method', 'status'] },
  ),
  requestSeconds: histogram('agrinet_http_request_seconds', 'Time until the response begins.', {
    labels: ['route'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
  }),
  refusals: counter('agrinet_http_refusals_total', 'Requests refused with an error, by code.', {
    labels: ['code'],
  }),
  streams: gauge('agrinet_sse_streams', 'Open event streams.'),
  streamsOpened: counter('agrinet_sse_opened_total', 'Event streams opened.'),
  streamsDropped: counter(
    'agrinet_sse_dropped_total',
    'Event streams closed because their client was too slow.',
  ),

  batches: counter(
    'agrinet_leveldb_batches_total',
    'Batches written; `synced` says whether they waited for the disk.',
    {
      labels: ['synced'],
    },
  ),
  batchesFailed: counter('agrinet_leveldb_failures_total', 'Batches that failed.'),
  reopenings: counter(
    'agrinet_leveldb_reopenings_total',
    'Times that the database was reopened after a failure.',
  ),
  syncSeconds: histogram('agrinet_leveldb_sync_seconds', 'Time to write a batch that waits for the disk.', {
    buckets: [0.0005, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2],
  }),
  levelFiles: gauge('agrinet_leveldb_files', 'Table files, by level.', { labels: ['level'] }),
  size: gauge('agrinet_leveldb_size_bytes', 'Size of the database on disk.'),
  diskFree: gauge('agrinet_disk_free_bytes', 'Free space on the disk of `DATA_DIR`.'),
  diskReserve: gauge(
    'agrinet_disk_reserve_bytes',
    'Free space below which writes are refused (`DISK_RESERVE_MB`).',
  ),

  checkpoints: counter(
    'agrinet_checkpoints_total',
    'Checkpoints made here, and those of other nodes by what their verification found: true, false or incomplete.',
    { labels: ['outcome'] },
  ),
  scrubRunning: gauge('agrinet_scrub_running', '1 while a scrub is running, including its pauses.'),
  scrubRows: gauge(
    'agrinet_scrub_rows',
    'Rows compared with the feeds by the running scrub, or by the last one.',
  ),
  scrubWrong: counter('agrinet_scrub_wrong_rows_total', 'Rows that did not match the feeds.', {
    labels: ['table'],
  }),
  scrubEnded: gauge(
    'agrinet_scrub_last_end_timestamp_seconds',
    'When the last scrub ended; no series before the first one.',
  ),

  jobs: gauge('agrinet_jobs', 'Jobs, by queue and state.', { labels: ['queue', 'state'] }),
  jobsUp: gauge('agrinet_jobs_queue_up', '1 while jobs can be handed out, 0 while Redis is unreachable.', {
    labels: ['queue'],
  }),

  mirrorState: gauge(
    'agrinet_mirror_state',
    '1 for the current state of the mirror; no series without a mirror.',
    { labels: ['state'] },
  ),
  mirrorPending: gauge('agrinet_mirror_pending', 'Items waiting to be written to the mirror’s tables.'),
  mirrorLag: gauge(
    'agrinet_mirror_lag_seconds',
    'Age of the oldest item waiting to be written to the mirror.',
  ),
  mirrorInFlight: gauge('agrinet_mirror_in_flight', 'Items being written to the mirror’s tables now.'),
  mirrorRefused: gauge('agrinet_mirror_refused', 'Items rejected by the mirror’s tables.'),
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
