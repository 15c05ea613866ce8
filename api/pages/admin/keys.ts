import { html } from 'hono/html';
import { type Scope, SCOPES } from '../../access.ts';
import type { ApiContext } from '../../context.ts';
import { nextOf, placeOf } from '../../paging.ts';
import type { IssuedKey, KeyInfo } from '../../ports/access.ts';
import type { SessionInfo } from '../../ports/sessions.ts';
import { KeyOrder } from '../../routes/keys.ts';
import type { TrendReports } from '../../trend-reports.ts';
import { type Action, type Page, pageRoutes } from '../page.ts';
import type { Shown } from '../shell.ts';
import type { TextName } from '../texts.ts';
import { actionButton, form, type Html, problemLine, requiredField, timeOf, type View } from '../view.ts';
import { scrollTable } from '../table.ts';

const PATH = '/admin/keys';
/** Keys on a page. */
const LISTED = 100;
const DAY_S = 24 * 3600;
const DAYS = '90';

const STATES = {
  active: 'keys.active',
  expired: 'keys.expired',
  revoked: 'keys.revoked',
} as const satisfies Record<KeyInfo['state'], TextName>;
const ALLOWS = {
  read: 'keys.read',
  write: 'keys.write',
  register: 'keys.register',
  worker: 'keys.worker',
  operator: 'keys.operator',
} as const satisfies Record<Scope, TextName>;
const WAYS = { key: 'keys.by.key', link: 'keys.by.link' } as const satisfies Record<
  SessionInfo['by'],
  TextName
>;

/** What was typed into the form; `isWrong` when it is no key that could be issued. */
interface Typed {
  readonly user: string;
  readonly scopes: readonly string[];
  readonly days: string;
  readonly isWrong?: true;
}

/** The keys that this node has issued, and the browsers that are signed in. */
const keysPage: Page = {
  access: 'operator',
  path: PATH,
  show: (view) => keysAndSessions(view, { user: '', scopes: ['read', 'write'], days: DAYS }),
};

async function keysAndSessions(view: View, typed: Typed): Promise<Shown> {
  const { t, c, node } = view;
  const page = await node.keys.list({ limit: LISTED, cursor: placeOf(c, c.req.query('cursor')) });
  const { cursor } = nextOf(c, page.cursor);
  const sessions = (await node.sessions()).list();
  return {
    title: t('keys.title'),
    ...(typed.isWrong === undefined ? {} : { status: 422 as const }),
    body: html`<h2>${t('keys.issue')}</h2>
      ${issueForm(view, typed)}
      <h2>${t('keys.keys')}</h2>
      ${page.keys.length === 0 ? html`<p>${t('keys.none')}</p>` : keysTable(view, page.keys)}
      ${cursor === undefined ? '' : html`<p><a href="${PATH}?${new URLSearchParams({ cursor })}" rel="next">${t('keys.more')}</a></p>`}
      <h2>${t('keys.sessions')}</h2>
      ${sessionsTable(view, sessions)} ${actionButton(view, '/sign-out/everywhere', t('keys.everywhere'))}`,
  };
}

function keysTable(view: View, keys: readonly KeyInfo[]): Html {
  const { t } = view;
  const columns = [
    t('keys.id'),
    t('keys.user'),
    t('keys.scopes'),
    t('keys.state'),
    t('keys.expires'),
    t('keys.used'),
    `#${t('keys.requests')}`,
    t('keys.actions'),
  ];
  const rows = keys.map((key) => {
    const { id, userId, scopes, state, expiresAt, lastUsedAt, usageCount } = key;
    return html`<tr>
      <td><code>${id}</code></td>
      <td>${userId}</td>
      <td>${scopes.join(', ')}</td>
      <td class="${state === 'active' ? 'on' : 'muted'}">${t(STATES[state])}</td>
      <td>${timeOf(expiresAt)}</td>
      <td>${lastUsedAt === undefined ? t('keys.never') : timeOf(lastUsedAt)}</td>
      <td class="n">${view.number(usageCount)}</td>
      <td>${state === 'active' ? revokeButton(view, key) : ''}</td>
    </tr>`;
  });
  return scrollTable(
    t('keys.keys'),
    columns,
    rows,
    keys.some(({ state }) => state === 'active'),
  );
}

function revokeButton(view: View, { id, userId }: KeyInfo): Html {
  const label = view.t('keys.revoke');
  return form(
    view,
    `${PATH}/${id}/revoke`,
    html`<button class="danger" data-confirm="${view.t('keys.revoke.sure')}" aria-label="${label}: ${userId}">
      ${label}
    </button>`,
    'inline',
  );
}

function sessionsTable(view: View, sessions: readonly SessionInfo[]): Html {
  const { t } = view;
  const columns = [
    t('keys.user'),
    t('keys.scopes'),
    t('keys.by'),
    t('keys.browser'),
    t('keys.since'),
    t('keys.used'),
    t('keys.expires'),
    t('keys.actions'),
  ];
  const rows = sessions.map((each) => {
    const user = each.userId ?? t('shell.operator');
    const isHere = each.id === view.session?.id;
    const end = actionButton(view, isHere ? '/sign-out' : `${PATH}/sessions/end`, t('keys.end'), {
      values: isHere ? {} : { id: each.id },
      describes: isHere ? t('keys.here') : user,
    });
    return html`<tr>
      <td>${user}</td>
      <td>${each.scopes.includes('operator') ? 'operator' : each.scopes.join(', ')}</td>
      <td>${t(WAYS[each.by])}</td>
      <td class="text">${each.agent}</td>
      <td>${timeOf(each.startedAt)}</td>
      <td>${timeOf(each.lastSeenAt)}</td>
      <td>${timeOf(each.endsAt)}</td>
      <td>${isHere ? t('keys.here') : ''} ${end}</td>
    </tr>`;
  });
  return scrollTable(t('keys.sessions'), columns, rows);
}

function issueForm(view: View, { user, scopes, days, isWrong }: Typed): Html {
  const { t } = view;
  const boxes = SCOPES.map((scope) => {
    const checked = scopes.includes(scope) ? html`checked` : '';
    return html`<p>
      <input type="checkbox" id="scope-${scope}" name="scope" value="${scope}" ${checked} />
      <label for="scope-${scope}"><code>${scope}</code> <small>${t(ALLOWS[scope])}</small></label>
    </p>`;
  });
  return form(
    view,
    PATH,
    html`${isWrong === undefined ? '' : problemLine(t('keys.issue.wrong'))}
      ${requiredField('user', t('keys.user'), { value: user, max: 128, isWrong: isWrong === true })}
      <fieldset>
        <legend>${t('keys.scopes')}</legend>
        ${boxes}
      </fieldset>
      <p>
        <label for="days">${t('keys.days')}</label>
        <input id="days" name="days" type="number" required min="1" max="366" value="${days}" />
      </p>
      <p><button class="main">${t('keys.issue')}</button></p>`,
    'card',
  );
}

/** The key is in this answer alone, which nothing stores. */
const issue: Action = {
  access: 'operator',
  path: PATH,
  async act(view, given) {
    const user = given.get('user') ?? '';
    const scopes = given.getAll('scope');
    const days = given.get('days') ?? DAYS;
    const order = KeyOrder.safeParse({ userId: user, scopes, expiresIn: Number(days) * DAY_S });
    if (!order.success) return keysAndSessions(view, { user, scopes, days, isWrong: true });
    return issuedKey(view, await view.node.keys.issue(order.data));
  },
};

function issuedKey({ t }: View, { key, userId, scopes, expiresAt }: IssuedKey): Shown {
  return {
    title: t('keys.issued', { user: userId }),
    body: html`<p class="notice">${t('keys.issued.once')}</p>
      <dl class="facts">
        <dt>${t('keys.key')}</dt>
        <dd><code>${key}</code></dd>
        <dt>${t('keys.scopes')}</dt>
        <dd>${scopes.join(', ')}</dd>
        <dt>${t('keys.expires')}</dt>
        <dd>${timeOf(expiresAt)}</dd>
      </dl>
      <p><a href="${PATH}">${t('keys.back')}</a></p>`,
  };
}

const revoke: Action = {
  access: 'operator',
  path: `${PATH}/:id/revoke`,
  async act(view) {
    const { userId } = await view.node.keys.revoke({ id: view.param('id') });
    return { to: PATH, notice: view.t('keys.revoke.done', { user: userId }) };
  },
};

const endSession: Action = {
  access: 'operator',
  path: `${PATH}/sessions/end`,
  async act({ node, t }, given) {
    const ended = await (await node.sessions()).end([given.get('id') ?? '']);
    return { to: PATH, notice: t(ended === 0 ? 'keys.end.gone' : 'keys.end.done') };
  },
};

export function keysRoutes(node: ApiContext, trends: TrendReports) {
  return pageRoutes(node, trends, [keysPage], [issue, revoke, endSession]);
}
