import { html } from 'hono/html';
import type { NodeAction } from '../../../protocols/registry/node-status.ts';
import type { ApiContext } from '../../context.ts';
import type { IssuedKey } from '../../ports/access.ts';
import type { NodeEntry } from '../../ports/registration.ts';
import { KeyOrder } from '../../routes/keys.ts';
import type { TrendReports } from '../../trend-reports.ts';
import { type Action, type Page, pageRoutes } from '../page.ts';
import type { Shown } from '../shell.ts';
import type { TextName } from '../texts.ts';
import { actionButton, form, type Html, problemLine, requiredField, timeOf, type View } from '../view.ts';
import { scrollTable } from '../table.ts';

const PATH = '/admin/federation';

/** What can be done about a node, by its state. A sync needs a node that is active and has an address. */
const STEPS: Readonly<Record<NodeEntry['status'], readonly NodeAction[]>> = {
  pending: ['approve', 'suspend', 'revoke'],
  active: ['suspend', 'revoke'],
  suspended: ['resume', 'revoke'],
  revoked: ['approve'],
};

const STATES = {
  pending: 'federation.pending',
  active: 'federation.active',
  suspended: 'federation.suspended',
  revoked: 'federation.revoked',
} as const satisfies Record<NodeEntry['status'], TextName>;
const LABELS = {
  approve: 'federation.approve',
  suspend: 'federation.suspend',
  resume: 'federation.resume',
  revoke: 'federation.revoke',
} as const satisfies Record<NodeAction, TextName>;
const DONE = {
  approve: 'federation.approve.done',
  suspend: 'federation.suspend.done',
  resume: 'federation.resume.done',
  revoke: 'federation.revoke.done',
} as const satisfies Record<NodeAction, TextName>;

const nameOf = ({ name, url, id }: NodeEntry): string => name || url || id;
const pathOf = (id: string, step: string): string => `${PATH}/${encodeURIComponent(id)}/${step}`;

/** The registered nodes, and what the operator can do about each. */
const federation: Page = {
  access: 'operator',
  path: PATH,
  show: (view) => federationPage(view),
};

async function federationPage(
  view: View,
  wrong?: { readonly who: string; readonly problem: string },
): Promise<Shown> {
  const { t, node } = view;
  const nodes = await node.registration.nodes('whole');
  const sources = new Set<string>(node.exchange.sources().map(({ id }) => id));
  const columns = [
    t('federation.node'),
    t('federation.state'),
    t('federation.reach'),
    `#${t('federation.lag')}`,
    `#${t('federation.listings')}`,
    t('federation.last-sync'),
    t('federation.error'),
    t('federation.actions'),
  ];
  const rows = nodes.map((each) => nodeRow(view, each, sources.has(each.id)));
  return {
    title: t('federation.title'),
    ...(wrong === undefined ? {} : { status: 422 as const }),
    body: html`<h2>${t('federation.nodes')}</h2>
      ${rows.length === 0 ? html`<p>${t('federation.none')}</p>` : scrollTable(t('federation.nodes'), columns, rows)}
      <h2>${t('federation.invite')}</h2>
      ${invitationForm(view, wrong)}`,
  };
}

function nodeRow(view: View, each: NodeEntry, isSource: boolean): Html {
  const { t } = view;
  const { id, url, status, lag, listings, lastSyncAt, error } = each;
  const name = nameOf(each);
  const look = status === 'active' ? 'on' : 'wait';
  return html`<tr>
    <td>
      ${name}<small class="muted"><code>${name === id || url === '' ? id : url}</code></small>
    </td>
    <td class="${look}">${t(STATES[status])}</td>
    ${reachCell(view, each)}
    <td class="n">${lag === undefined ? '–' : view.number(lag)}</td>
    <td class="n">${view.number(listings)}</td>
    <td>${lastSyncAt === 0 ? t('federation.never') : timeOf(lastSyncAt)}</td>
    <td class="text">${error === undefined ? '–' : html`<span lang="en">${error}</span>`}</td>
    <td>
      ${STEPS[status].map((step) => stepButton(view, each, step))} ${isSource ? syncButton(view, each) : ''}
    </td>
  </tr>`;
}

function reachCell({ t }: View, { status, connected, online }: NodeEntry): Html {
  if (status !== 'active') return html`<td>–</td>`;
  if (connected) return html`<td class="on">● ${t('federation.connected')}</td>`;
  if (online) return html`<td class="on">● ${t('federation.http')}</td>`;
  return html`<td class="off">○ ${t('federation.unreachable')}</td>`;
}

/** Revoking asks on a page of its own. */
function stepButton(view: View, each: NodeEntry, step: NodeAction): Html {
  const label = view.t(LABELS[step]);
  if (step !== 'revoke') return actionButton(view, pathOf(each.id, step), label, { describes: nameOf(each) });
  return html`<a class="button" href="${pathOf(each.id, step)}" aria-label="${label}: ${nameOf(each)}"
    >${label}</a
  >`;
}

function syncButton(view: View, each: NodeEntry): Html {
  return actionButton(view, pathOf(each.id, 'sync'), view.t('federation.sync'), { describes: nameOf(each) });
}

const revocation: Page = {
  access: 'operator',
  path: `${PATH}/:id/revoke`,
  async show(view) {
    const { t } = view;
    const node = await view.node.registration.node(view.param('id'));
    const keys = node.keys.length === 0 ? t('federation.revoke.no-keys') : node.keys.join(', ');
    const buttons = html`<button class="danger">${t('federation.revoke')}</button>
      <a class="button" href="${PATH}">${t('federation.cancel')}</a>`;
    return {
      title: t('federation.revoke.title', { name: nameOf(node) }),
      body: html`<p>${t('federation.revoke.what', { keys })}</p>
        <p><code>${node.id}</code></p>
        ${form(view, pathOf(node.id, 'revoke'), buttons)}`,
    };
  },
};

function change(step: NodeAction): Action {
  return {
    access: 'operator',
    path: `${PATH}/:id/${step}`,
    async act(view) {
      const changed = await view.node.registration.change(view.param('id'), step);
      return { to: PATH, notice: view.t(DONE[step], { name: nameOf(changed) }) };
    },
  };
}

const sync: Action = {
  access: 'operator',
  path: `${PATH}/:id/sync`,
  async act(view) {
    const source = await view.node.registration.node(view.param('id'));
    await view.node.jobs.enqueueSync(source.id);
    return { to: PATH, notice: view.t('federation.sync.done', { name: nameOf(source) }) };
  },
};

function invitationForm(view: View, wrong?: { readonly who: string; readonly problem: string }): Html {
  const { t } = view;
  return html`<p>${t('federation.invite.what')}</p>
    ${wrong === undefined ? '' : problemLine(wrong.problem)}
    ${form(
      view,
      `${PATH}/invitations`,
      html`${requiredField('who', t('federation.invite.who'), {
          value: wrong?.who ?? '',
          max: 128,
          hint: t('federation.invite.who.hint'),
          isWrong: wrong !== undefined,
        })}
        <p><button class="main">${t('federation.invite.button')}</button></p>`,
      'card',
    )}`;
}

/** The key is in this answer alone, which nothing stores: there is no page to be led to that could show it. */
const invite: Action = {
  access: 'operator',
  path: `${PATH}/invitations`,
  async act(view, given) {
    const who = given.get('who') ?? '';
    const order = KeyOrder.safeParse({ userId: who, scopes: ['register'], uses: 1 });
    if (!order.success) return federationPage(view, { who, problem: view.t('federation.invite.wrong') });
    return invitation(view, await view.node.keys.issue(order.data));
  },
};

function invitation(view: View, { key, userId }: IssuedKey): Shown {
  const { t, node, c } = view;
  const { nodeUrl } = node.registration.identity();
  const url = nodeUrl === '' ? new URL(c.req.url).origin : nodeUrl;
  return {
    title: t('federation.invitation', { name: userId }),
    body: html`<p class="notice">${t('federation.invitation.once')}</p>
      <dl class="facts">
        <dt>${t('federation.invitation.url')}</dt>
        <dd><code>${url}</code></dd>
        <dt>${t('federation.invitation.key')}</dt>
        <dd><code>${key}</code></dd>
        <dt>${t('federation.invitation.command')}</dt>
        <dd><code>agrinet join ${url} --key ${key}</code></dd>
      </dl>
      ${nodeUrl === '' ? html`<p class="muted">${t('federation.invitation.local')}</p>` : ''}
      <p><a href="${PATH}">${t('federation.back')}</a></p>`,
  };
}

export function federationRoutes(node: ApiContext, trends: TrendReports) {
  const steps = (['approve', 'suspend', 'resume', 'revoke'] as const).map(change);
  return pageRoutes(node, trends, [federation, revocation], [...steps, sync, invite]);
}
