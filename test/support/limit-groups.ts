import { BODY_LIMITS } from '../../api/limits/body.ts';
import { TRUST_LIMITS } from '../../api/routes/trust.ts';
import { SSE_STREAM_LIMITS } from '../../api/sse-stream.ts';
import { SSE_LIMITS } from '../../api/sse.ts';
import { UPLOAD_LIMITS } from '../../daemon/attachments/attachments.ts';
import { FETCH_LIMITS } from '../../daemon/attachments/fetches.ts';
import { KEY_LIMITS } from '../../daemon/access/key-rules.ts';
import { SNAPSHOT_LIMITS } from '../../daemon/backup/backups.ts';
import { USER_LIMITS } from '../../daemon/users/directory.ts';
import { WANT_LIMITS } from '../../daemon/wants/want-book.ts';
import { DIFF_LIMITS } from '../../daemon/doctor/diff-limits.ts';
import { TREND_LIMITS } from '../../daemon/doctor/disk-trend.ts';
import { DOCTOR_LIMITS } from '../../daemon/doctor/facts.ts';
import { EVENT_LIMITS } from '../../daemon/events/event-log.ts';
import { PULL_LIMITS } from '../../daemon/federation/https-transport.ts';
import { IMPORT_LIMITS } from '../../daemon/federation/legacy-import.ts';
import { STEADY_LIMITS } from '../../protocols/wire/steady.ts';
import { SERVER_LIMITS } from '../../daemon/http-server.ts';
import { JOB_LIMITS } from '../../daemon/jobs/job-store.ts';
import { METRICS_LIMITS } from '../../daemon/metrics/metrics-table.ts';
import { ANSWER_LIMITS } from '../../daemon/sms/answer-codes.ts';
import { SMS_LIMITS } from '../../daemon/sms/limits.ts';
import { WAITING_LIMITS } from '../../daemon/notices/waiting-steps.ts';
import { CHECKPOINT_LIMITS } from '../../protocols/feed/checkpoint.ts';
import { ROTATION_LIMITS } from '../../protocols/rotation/statement.ts';
import { PREFIX_LIMITS } from '../../protocols/digest/prefix.ts';
import { PEER_EXCHANGE_LIMITS } from '../../protocols/discovery/peer-exchange.ts';
import { RENDEZVOUS_LIMITS } from '../../protocols/discovery/rendezvous.ts';
import { ATTACHMENT_LIMITS } from '../../protocols/market/attachment.ts';
import { NOTE_LIMITS } from '../../protocols/market/deal-note/verify.ts';
import { LEGACY_LIMITS } from '../../protocols/market/legacy.ts';
import { ANNOUNCE_LIMITS } from '../../protocols/mycelium/announce.ts';
import { ATTACHMENT_STREAM_LIMITS } from '../../protocols/mycelium/attachment-protocol.ts';
import { CATCH_UP_LIMITS } from '../../protocols/mycelium/catch-up.ts';
import { EXCHANGE_LIMITS } from '../../protocols/mycelium/exchanges.ts';
import { FRONTIER_LIMITS } from '../../protocols/mycelium/frontier-exchange.ts';
import { FRONTIER_SEQUENCE_LIMITS } from '../../protocols/mycelium/frontier-sequence.ts';
import { GOSSIP_LIMITS } from '../../protocols/mycelium/gossip-intake.ts';
import { OFFENCE_LIMITS } from '../../protocols/mycelium/offences.ts';
import { SLICE_LIMITS } from '../../protocols/mycelium/pull.ts';
import { FRAME_LIMITS } from '../../protocols/mycelium/range-frame.ts';
import { RANGE_LIMITS } from '../../protocols/mycelium/range.ts';
import { SHOWN_LIMITS } from '../../protocols/mycelium/shown-frontiers.ts';
import { REQUEST_LIMITS } from '../../protocols/mycelium/signed-request.ts';
import { SNAPSHOT_STREAM_LIMITS } from '../../protocols/mycelium/snapshot-request.ts';
import { REGISTRY_LIMITS } from '../../protocols/registry/registry.ts';
import { LIMITS } from '../../protocols/wire/limits.ts';
import { BACKUP_LIMITS } from '../../storage/backup/format.ts';
import { IDEMPOTENCY_LIMITS } from '../../storage/idempotency-table.ts';
import { MIRROR_LIMITS } from '../../storage/mirror/limits.ts';

/** What operators and clients meet, by the file that it stands in; the README shows these. */
export const HTTP_LIMITS = {
  'daemon/http-server.ts': ['Connections', SERVER_LIMITS],
  'api/limits/body.ts': ['Request bodies', BODY_LIMITS],
  'storage/idempotency-table.ts': ['Repeated requests', IDEMPOTENCY_LIMITS],
  'daemon/access/key-rules.ts': ['Keys', KEY_LIMITS],
  'daemon/users/directory.ts': ['Users', USER_LIMITS],
  'daemon/wants/want-book.ts': ['Wants', WANT_LIMITS],
  'daemon/attachments/attachments.ts': ['Uploads', UPLOAD_LIMITS],
  'daemon/attachments/fetches.ts': ['Attachments of other nodes', FETCH_LIMITS],
  'api/routes/trust.ts': ['Scores', TRUST_LIMITS],
  'api/sse.ts': ['Event streams', SSE_LIMITS],
  'api/sse-stream.ts': ['One event stream', SSE_STREAM_LIMITS],
  'daemon/events/event-log.ts': ['Stored events', EVENT_LIMITS],
  'protocols/wire/steady.ts': ['Streamed bodies', STEADY_LIMITS],
  'daemon/federation/https-transport.ts': ['Pulls from an agrinetd', PULL_LIMITS],
  'daemon/federation/legacy-import.ts': ['Exports of old back ends', IMPORT_LIMITS],
  'protocols/market/legacy.ts': ['Items in these exports', LEGACY_LIMITS],
  'daemon/jobs/job-store.ts': ['Jobs', JOB_LIMITS],
  'daemon/notices/waiting-steps.ts': ['Waiting notices', WAITING_LIMITS],
  'daemon/sms/limits.ts': ['SMS notices', SMS_LIMITS],
  'daemon/sms/answer-codes.ts': ['Answers by SMS', ANSWER_LIMITS],
  'daemon/metrics/metrics-table.ts': ['Metrics', METRICS_LIMITS],
  'daemon/doctor/facts.ts': ['The doctor', DOCTOR_LIMITS],
  'daemon/doctor/disk-trend.ts': ['Disk trend of the doctor', TREND_LIMITS],
  'daemon/doctor/diff-limits.ts': ['doctor --diff', DIFF_LIMITS],
  'daemon/backup/backups.ts': ['Snapshots for backups', SNAPSHOT_LIMITS],
  'storage/backup/format.ts': ['Backup files', BACKUP_LIMITS],
  'protocols/market/deal-note/verify.ts': ['Deal notes', NOTE_LIMITS],
  'storage/mirror/limits.ts': ['The mirror', MIRROR_LIMITS],
} as const;

/** What other nodes meet; `protocols/README.md` shows these. */
export const WIRE_LIMITS = {
  'protocols/wire/limits.ts': ['Entries, ops, documents', LIMITS],
  'protocols/feed/checkpoint.ts': ['Checkpoints', CHECKPOINT_LIMITS],
  'protocols/rotation/statement.ts': ['Rotations', ROTATION_LIMITS],
  'protocols/mycelium/frontier-exchange.ts': ['Frontier exchange', FRONTIER_LIMITS],
  'protocols/mycelium/frontier-sequence.ts': ['Frontiers over HTTP', FRONTIER_SEQUENCE_LIMITS],
  'protocols/mycelium/range.ts': ['Range', RANGE_LIMITS],
  'protocols/mycelium/range-frame.ts': ['Frames of a range', FRAME_LIMITS],
  'protocols/digest/prefix.ts': ['Differences by prefix', PREFIX_LIMITS],
  'protocols/mycelium/announce.ts': ['Direct announcements', ANNOUNCE_LIMITS],
  'protocols/mycelium/signed-request.ts': ['Signed requests', REQUEST_LIMITS],
  'protocols/market/attachment.ts': ['Attachments', ATTACHMENT_LIMITS],
  'protocols/mycelium/attachment-protocol.ts': ['Asking for attachments', ATTACHMENT_STREAM_LIMITS],
  'protocols/mycelium/snapshot-request.ts': ['Asking for snapshots', SNAPSHOT_STREAM_LIMITS],
  'protocols/discovery/peer-exchange.ts': ['Peer exchange', PEER_EXCHANGE_LIMITS],
} as const;

/** What a node decides by itself; `protocols/PROFILE.md` shows these. */
export const LOCAL_LIMITS = {
  'protocols/mycelium/exchanges.ts': ['When frontiers are exchanged', EXCHANGE_LIMITS],
  'protocols/mycelium/gossip-intake.ts': ['Gossip', GOSSIP_LIMITS],
  'protocols/mycelium/pull.ts': ['Pulls', SLICE_LIMITS],
  'protocols/mycelium/shown-frontiers.ts': ['Frontiers kept', SHOWN_LIMITS],
  'protocols/mycelium/offences.ts': ['Offences', OFFENCE_LIMITS],
  'protocols/mycelium/catch-up.ts': ['Catch-up', CATCH_UP_LIMITS],
  'protocols/discovery/rendezvous.ts': ['Rendezvous', RENDEZVOUS_LIMITS],
  'protocols/registry/registry.ts': ['Registry', REGISTRY_LIMITS],
} as const;

/** All that `protocols/` bounds. */
export const PROTOCOL_LIMITS = { ...WIRE_LIMITS, ...LOCAL_LIMITS } as const;
