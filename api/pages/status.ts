import { html } from 'hono/html';
import type { Context } from 'hono';
import { trendSummary } from '../../protocols/market/trends.ts';
import { type ApiEnv, visibilityOf } from '../access.ts';
import type { ApiContext } from '../context.ts';
import { insideFence } from '../fenced.ts';
import { Shown } from '../left-out.ts';
import type { Visibility } from '../ports/registration.ts';
import type { TrendReports } from '../trend-reports.ts';
import { answerWith } from './shell.ts';
import {
  checkpointsTable,
  holdingsTable,
  jobsLine,
  listingRow,
  listingsTable,
  movementsTable,
  type NameOf,
  nodesTable,
} from './status-sections.ts';
import { type Html, viewOf } from './view.ts';

/** Price movements shown. */
const SIGNALS = 8;
/** Listings shown. */
const NEWEST = 20;

/** The page that everybody may read. */
export async function showStatus(
  c: Context<ApiEnv>,
  node: ApiContext,
  trends: TrendReports,
): Promise<Response> {
  const view = viewOf(c, node, trends);
  const body = await statusOf(node, trends, visibilityOf(view.principal));
  return answerWith(view, { title: node.registration.identity().name, body });
}

/**
 * How the node does: itself, its nodes and their lag, the digest, price movements, the newest listings; for the operator also its jobs,
 * checkpoints, and whatever private channels move.
 */
export async function statusOf(node: ApiContext, trends: TrendReports, sees: Visibility): Promise<Html> {
  const me = node.registration.identity();
  const { digest, owners } = node.digest();
  const nodes = await node.registration.nodes(sees);
  const nameOf = (peer: string): string =>
    peer === me.peerId ? `${me.name} (this node)` : (nodes.find((n) => n.id === peer)?.name ?? peer);
  const trouble = node.trouble();
  const report = await trends({ back: 1 });
  return html`<p class="muted">Region ${me.region} · network ${me.network} · <code>${me.peerId}</code></p>
    ${trouble === undefined ? html`<p class="on">● ready</p>` : html`<p class="off">● not ready: ${trouble.message}</p>`}
    ${node.degraded(sees).map((what) => html`<p class="off">◐ degraded: ${what}</p>`)}
    ${node.alarms(sees).map((alarm) => html`<p class="alarm">▲ ${alarm.text} <span class="muted">${alarm.at}</span></p>`)}
    ${sees === 'whole' ? jobsLine(node.jobs) : ''}
    <h2>Nodes</h2>
    ${nodesTable(nodes)}
    ${sees === 'whole' ? checkpointsTable((await node.checkpoints.status()).checkpoints, nameOf) : ''}
    <h2>Data on this node</h2>
    <p class="muted">Digest <code>${digest}</code> — equal on two nodes if they hold the same data.</p>
    ${holdingsTable(owners, nameOf)}
    <h2>Price trends</h2>
    <p class="muted">
      ${trendSummary(report, undefined)}${report.asOf === null ? '' : ` As of ${report.asOf}, from ${report.prices} prices.`}
    </p>
    ${movementsTable(report.signals.slice(0, SIGNALS))}
    <h2>Newest listings</h2>
    ${await newestListings(node, nameOf)}
    <p class="muted">
      <a href="/federation/nodes">nodes</a> · <a href="/federation/digest">digest</a> ·
      <a href="/federation/export">export</a> · <a href="/trends">trends</a> ·
      <a href="/openapi.json">API</a> ·
      <a href="/ready">ready</a>
    </p>`;
}

async function newestListings({ reader, fence, leftOut }: ApiContext, nameOf: NameOf): Promise<Html> {
  const query = { fields: {}, keep: insideFence(fence) };
  const { records, unread } = await reader.list('listings', query, NEWEST);
  const shown = new Shown(leftOut);
  shown.missed(unread);
  const rows = shown.each(
    records,
    ({ key }) => key,
    (state) => listingRow(state, nameOf),
  );
  return html`${listingsTable(rows)}
  ${shown.leftOut(false).map(({ collection, id, reason }) => html`<p class="off">left out: ${collection} ${id} (${reason})</p>`)}`;
}
