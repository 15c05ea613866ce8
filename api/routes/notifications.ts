import { z } from '@hono/zod-openapi';
import { ownUser } from '../own-user.ts';
import type { Notification, NotificationsPort } from '../ports/jobs.ts';
import { NOTICE_KINDS, SMS_STATES } from '../ports/users.ts';
import { json, route, router } from '../route.ts';
import { flag, pageOf, pageQuery, text, timestamp } from '../schemas.ts';
import { nextOf, placeOf } from '../paging.ts';

const tags = ['Notifications'];
const userId = z.string().min(1).max(256).optional().openapi({
  description: 'User; by default the user of the key, or `operator` for an operator key.',
});
const NotificationBody = z
  .object({
    userId: text('User it is for.'),
    notificationId: text('ID of the notification.'),
    message: text('Text.'),
    read: flag('Whether it has been read.'),
    createdAt: timestamp('When it was created.'),
    jobId: text('Job that it is about.').optional(),
    kind: z.enum(NOTICE_KINDS).optional().openapi({ description: 'Kind of notice.' }),
    about: z.record(z.string(), z.string()).optional().openapi({
      description:
        'Subject of the notice: `contractId`, `step`, `conversationId`, `messageId`, `ratingId`, `listingId`, `wantId`, and who did it as `from`.',
    }),
    language: text('Language of the text, a BCP 47 tag.').optional(),
    unreviewed: flag(
      'True if no speaker of the language has reviewed the text; absent otherwise.',
    ).optional(),
    sms: z.enum(SMS_STATES).optional().openapi({
      description:
        'State of its SMS: `queued`, `sending`, `sent` (taken by the provider), `failed`, `unknown`, when it cannot be told whether it was sent, or, when none is sent, `daily-limit` (the SMS that the user gets in a day are used up), `node-limit` (those that one other node causes in a day are) or `stranger-limit` (those that strangers of all other nodes cause together are); absent without one.',
    }),
    possibleRepeat: flag(
      'The node has lost data since this happened (see `agrinet restore`), so it may have told the user of it before; absent otherwise.',
    ).optional(),
  })
  .openapi('Notification');

const list = route(
  'write',
  {
    operationId: 'listNotifications',
    method: 'get',
    path: '/',
    tags,
    summary: 'List notifications of a user, newest first',
    request: { query: z.object({ userId, ...pageQuery }) },
    responses: { 200: json(pageOf('notifications', NotificationBody), 'A page of notifications.') },
  },
  'ignored',
);
const languages = route('read', {
  operationId: 'listNoticeLanguages',
  method: 'get',
  path: '/languages',
  tags,
  summary: 'List the languages that notices are written in, and whether a speaker has reviewed each',
  responses: {
    200: json(
      z
        .object({
          languages: z.array(
            z.object({
              language: text('BCP 47 tag, for `language` of a user.'),
              name: text('What its speakers call it.'),
              reviewed: flag('Whether a speaker has signed the texts.'),
            }),
          ),
        })
        .openapi('NoticeLanguages'),
      'The languages.',
    ),
  },
});
const markRead = route(
  'write',
  {
    operationId: 'markNotificationRead',
    method: 'post',
    path: '/{id}/read',
    tags,
    summary: 'Mark a notification as read',
    request: {
      params: z.object({
        id: z.string().min(1).max(256).openapi({ description: 'ID of the notification.' }),
      }),
      query: z.object({ userId }),
    },
    responses: { 200: json(NotificationBody, 'The updated notification.') },
  },
  'ignored',
);

export function notificationRoutes({ notifications }: { readonly notifications: NotificationsPort }) {
  return router()
    .openapi(list, async (c) => {
      const { userId, limit, cursor } = c.req.valid('query');
      const page = await notifications.list(ownUser(c.get('principal'), userId), limit, placeOf(c, cursor));
      const found = page.notifications.map(shown);
      return c.json({ notifications: found, ...nextOf(c, page.cursor) }, 200);
    })
    .openapi(languages, (c) => {
      const known = notifications
        .languages()
        .map(({ tag, name, reviewed }) => ({ language: tag, name, reviewed }));
      return c.json({ languages: known }, 200);
    })
    .openapi(markRead, async (c) => {
      const user = ownUser(c.get('principal'), c.req.valid('query').userId);
      return c.json(shown(await notifications.markRead(user, c.req.valid('param').id)), 200);
    });
}

function shown({ kind, about, sms, ...line }: Notification) {
  const known = NOTICE_KINDS.find((each) => each === kind);
  const state = SMS_STATES.find((each) => each === sms);
  return {
    ...line,
    ...(state === undefined ? {} : { sms: state }),
    ...(known === undefined ? {} : { kind: known }),
    ...(about === undefined ? {} : { about: { ...about } }),
  };
}
