import type { Identity } from '../protocols/wire/identity.ts';
import type { OwnApiKey } from './api-key.ts';
import type { Listening } from './http.ts';
import type { Logger } from './logger.ts';
import { machine, type Outside } from './outside.ts';
import { PartList } from './parts.ts';
import { defineKeys } from './parts/access.ts';
import { defineAttachments } from './parts/attachments.ts';
import { defineApi } from './parts/api.ts';
import { defineAudit } from './parts/audit.ts';
import { defineBase } from './parts/base.ts';
import { defineCore } from './parts/core.ts';
import { defineExamination } from './parts/examination.ts';
import { defineExchange, defineForget } from './parts/exchange.ts';
import { defineCertificate, defineFirstKey, defineHttp, defineLongRequests } from './parts/http.ts';
import { defineJobs, defineWork } from './parts/jobs.ts';
import { defineMarket } from './parts/market.ts';
import { defineMirror } from './parts/mirror.ts';
import { defineNotices, defineNotificationTable, defineSms, defineIncomingSms } from './parts/notices.ts';
import { defineNetwork } from './parts/network.ts';
import { defineRegistration } from './parts/registration.ts';
import { runningNode } from './parts/running.ts';
import { defineReading, defineSources } from './parts/sources.ts';
import { defineSearch } from './parts/search.ts';
import { defineSnapshots } from './parts/snapshots.ts';
import { defineUsers } from './parts/users.ts';
import { defineWants } from './parts/wants.ts';
import { defineCheckpoints, defineReach, defineScrub } from './parts/watch.ts';
import type { Settings } from './settings.ts';
import { createReplicationStatus } from './replication-status.ts';

export type { Node } from './parts/running.ts';

export interface NodeOptions {
  readonly settings: Settings;
  readonly identity: Identity;
  readonly apiKey: OwnApiKey;
  readonly logger: Logger;
  /** Receives what to do at a hangup of the process. */
  readonly onHangup?: (look: () => void) => void;
}

/** Starts one node: all its parts, from the clock to its HTTP API, each after those it uses. They stop in reverse, also when a later one fails to start. */
export async function createNode(options: NodeOptions, other: Partial<Outside> = {}) {
  const { settings, identity, apiKey, logger, onHangup = () => undefined } = options;
  const outside: Outside = { ...machine, ...other };
  const parts = new PartList(outside.env, logger);
  const listening: Listening = { url: '' };
  const closing = new AbortController();

  const base = defineBase(parts, { settings, identity, logger, outside });
  const tls = parts.add(defineCertificate({ ...base, onHangup }));
  const core = defineCore(parts, base);
  const network = defineNetwork(parts, base, core);

  const node = runningNode(base, core, network);
  const replicationStatus = createReplicationStatus(node);
  const { leftOut, reader } = defineReading(parts, node);
  const search = parts.add(defineSearch(node, leftOut));
  const sources = parts.add(defineSources(node));
  const keys = parts.add(defineKeys(node, apiKey.key));
  const users = parts.add(defineUsers(node, keys));
  const table = parts.add(defineNotificationTable(node));
  const { notifications, jobs } = defineJobs(parts, node, { sources, table });
  const audited = defineAudit(parts, node, { reader, keys });
  const market = defineMarket(parts, node, { reader, search, users, audited, sources, replicationStatus });
  const sms = parts.add(defineSms(node, { users, table, market }));
  const notices = parts.add(defineNotices(node, { reader, users, market, jobs, sms, table }));
  const wants = parts.add(defineWants(node, { users, market, notices }));
  const incoming = parts.add(defineIncomingSms(node, { users, market, audited, notices }));
  const { reliability, trends, cells } = market;
  const checkpoints = parts.add(defineCheckpoints(node, audited));
  const reach = parts.add(defineReach(node, sources));
  const scrub = parts.add(defineScrub(node, search));

  const registered = { sources, audited, market, reach, replicationStatus, listening, tls };
  const registration = parts.add(defineRegistration(node, registered));
  const attachments = parts.add(defineAttachments(node, { reader, registration, closing: closing.signal }));
  const snapshots = parts.add(defineSnapshots(node, registration));
  const exchanged = { reader, sources, jobs, registration, reach, reliability, scrub, replicationStatus };
  const exchange = parts.add(defineExchange(node, exchanged));
  const forget = parts.add(defineForget(node, { sources, reader, search, audited }));
  const mirror = parts.add(defineMirror(node, { reader, market, limits: outside.mirrorLimits }));
  const recurring = { trends, cells, checkpoints };
  defineWork(parts, node, { notifications, jobs, keys, exchange, audit: audited, ...recurring });
  const examined = { replicationStatus, reach, jobs, scrub, checkpoints, mirror, registration, reader };
  const examination = defineExamination(parts, node, examined);

  const told = { notices, wants, notifications, incoming };
  const trade = { leftOut, reader, search, users, ...told, attachments, market };
  const operation = { audited, jobs, checkpoints, scrub, forget, mirror, examination };
  const federation = { registration, exchange, snapshots, replicationStatus };
  const served = { ...trade, ...operation, ...federation, keys, closing: closing.signal };
  const context = parts.add(defineApi(node, served));
  parts.add(defineFirstKey(node, apiKey));
  parts.add(defineHttp(base, { context, tls, listening }));
  parts.add(defineLongRequests(node, closing));
  await parts.start();
  const running = { node, context: context.face, snapshots: snapshots.face, url: listening.url };
  return { ...running, parts: parts.names, stop: () => parts.stop() };
}
