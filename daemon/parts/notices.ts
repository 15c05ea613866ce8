import type { SmsPort } from '../../api/ports/sms.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Audited } from '../audit/node-audit.ts';
import { openNotificationTable } from '../../storage/notification-table.ts';
import type { Reader } from '../../storage/reader.ts';
import { concernsUsers } from '../notices/concerns.ts';
import { startNotices, type Notices } from '../notices/start-notices.ts';
import { readTexts } from '../notices/texts.ts';
import type { Jobs } from '../jobs/create-jobs.ts';
import { definePart, type Face } from '../parts.ts';
import { accountOf } from '../settings.ts';
import type { Sms } from '../sms/start-sms.ts';
import type { Directory } from '../users/directory.ts';
import type { Market } from './market.ts';
import type { Node } from './running.ts';

export interface NoticesComponents {
  readonly reader: Face<Reader>;
  readonly users: Face<Directory>;
  readonly market: Pick<Market, 'contracts' | 'conversations' | 'ratings'>;
  readonly jobs: Face<Pick<Jobs, 'queue'>>;
  readonly sms: Face<Sms | undefined>;
  readonly table: Face<ReturnType<typeof openNotificationTable>>;
}

/** Tells users what others have done that concerns them. */
export function defineNotices(
  node: Pick<Node, 'identity' | 'settings' | 'db' | 'env' | 'events' | 'hooks' | 'logger'>,
  { reader, users, market, jobs, sms, table }: NoticesComponents,
) {
  return definePart<Notices>('notices', async () => {
    const { identity, settings, db, env, events, hooks, logger } = node;
    const started = await startNotices({
      self: identity.peerId,
      db,
      table: table.face,
      events,
      reader: reader.face,
      contracts: market.contracts.face,
      conversations: market.conversations.face,
      ratings: market.ratings.face,
      users: users.face,
      sms: sms.face,
      env,
      // Without the secret that signs them nothing is posted, as for the events of the federation.
      hooks: settings.federationWebhookSecret === undefined ? [] : settings.noticeWebhookUrls,
      handOver: ({ job, data }) => jobs.face.queue.add('webhook', data, { id: job }),
      warn: (message, fields) => logger.warn(fields, message),
    });
    hooks.committed.on('notices', ({ changes }) => {
      if (changes.some((change) => concernsUsers(change, identity.peerId))) started.face.wake();
    });
    hooks.reopened.on('notices', () => started.face.wake());
    return started;
  });
}

/** The lines of all users, which several parts write. */
export function defineNotificationTable(node: Pick<Node, 'db'>) {
  return definePart('notification table', () => ({ face: openNotificationTable(node.db) }));
}

/** Sends notices to users as SMS, if Twilio is configured. */
export function defineSms(
  node: Pick<Node, 'identity' | 'settings' | 'db' | 'env' | 'alarms' | 'hooks' | 'logger'>,
  { users, table, market }: Pick<NoticesComponents, 'users' | 'table' | 'market'>,
) {
  return definePart<Sms | undefined>('SMS', async () => {
    const { identity, settings, db, env, alarms, hooks, logger } = node;
    const account = accountOf(settings);
    if (account === undefined) return { face: undefined };
    const { smsDailyLimit: perUser, smsDailyLimitPerNode: perNode, publicUrl } = settings;
    const { startSms } = await import('../sms/start-sms.ts'); // what few nodes use
    const started = await startSms({
      self: identity.peerId,
      account,
      acceptLimits: settings.smsAcceptLimit,
      dailyLimits: { perUser, perNode },
      noticesAt: publicUrl === undefined ? 'Agrinet, /notifications' : `${publicUrl}/notifications`,
      languages: readTexts,
      db,
      lines: table.face,
      users: users.face,
      contracts: market.contracts.face,
      env,
      warn: (message, fields) => logger.warn(fields, message),
      onDenied: (status) => alarms.raise({ kind: 'sms-denied', status }),
    });
    hooks.reopened.on('SMS', () => started.face.wake());
    return started;
  });
}

/** Answers SMS that Twilio posts here. */
export function defineIncomingSms(
  node: Pick<Node, 'settings' | 'db' | 'env' | 'logger'>,
  {
    users,
    market,
    audited,
    notices,
  }: Pick<NoticesComponents, 'users' | 'market'> & {
    readonly audited: Face<Audited>;
    readonly notices: Face<Pick<Notices, 'languages'>>;
  },
) {
  return definePart<SmsPort>('incoming SMS', async () => {
    const { settings, db, env, logger } = node;
    const account = accountOf(settings);
    const { publicUrl } = settings;
    if (account === undefined || publicUrl === undefined) return { face: { incoming: smsOff } };
    // Used by few nodes.
    const [{ IncomingSms }, { SmsTable }] = await Promise.all([
      import('../sms/incoming.ts'),
      import('../../storage/sms-table.ts'),
    ]);
    const face = new IncomingSms({
      table: new SmsTable(db),
      batch: (ops) => db.batch(ops, true),
      authToken: account.authToken,
      publicUrl,
      users: users.face,
      contracts: market.contracts.face,
      audit: audited.face.audit,
      languages: new Map(notices.face.languages.map((each) => [each.tag, each])),
      env,
      warn: (message, fields) => logger.warn(fields, message),
    });
    return { face };
  });
}

function smsOff(): Promise<never> {
  const message =
    'SMS are not set up here: set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_SMS_NUMBER and PUBLIC_URL';
  return Promise.reject(new AgrinetError('sms-off', message));
}
