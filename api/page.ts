import { html, raw } from 'hono/html';
import { trendSummary } from '../protocols/market/trends.ts';
import type { ApiContext } from './context.ts';
import { insideFence } from './fenced.ts';
import { Shown } from './left-out.ts';
import {
  checkpointsTable,
  holdingsTable,
  jobsLine,
  listingRow,
  listingsTable,
  movementsTable,
  type NameOf,
  nodesTable,
} from './page-sections.ts';
import type { Visibility } from './ports/registration.ts';
import type { TrendReports } from './trend-reports.ts';

/** No script and no further request: a page for a quick look at the node. */
const STYLE = `:root{color-scheme:light dark;--line:#8884;--good:#2a7a3b;--bad:#b3261e;--warn:#9a6700}
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
code{font-size:.85em;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line)}.n{text-align:right;font-variant-numeric:tabular-nums}
.bar{background:var(--line);height:.6rem;border-radius:.3rem;overflow:hidden;min-width:6rem}.bar i{display:block;height:100%;background:var(--good)}
.move{display:grid;grid-template-columns:1fr 1fr;min-width:8rem}.move i{display:block;height:.6rem}.move .down{background:var(--bad);justify-self:end;border-radius:.3rem 0 0 .3rem}.move .up{background:var(--good);grid-column:2;border-radius:0 .3rem .3rem 0}
.on{color:var(--good)}.wait{color:var(--warn)}.off,.alarm{color:var(--bad)}small{display:block}.muted{opacity:.7}.scroll{overflow-x:auto}`;

/** Price movements shown. */
const SIGNALS = 8;
/** Listings shown. */
const NEWEST = 20;

/**
 * The node's one plain page: itself, its nodes and their lag, the digest, price movements, the newest listings; for the operator's key also
 * its jobs, checkpoints, and whatever private channels move.
 */
export async function page(node: ApiContext, trends: TrendReports, sees: Visibility): Promise<string> {
  const me = node.registration.identity();
  const { digest, owners } = node.digest();
  const nodes = await node.registration.nodes(sees);
  const nameOf = (peer: string): string =>
    peer === me.peerId ? `${me.name} (this node)` : (nodes.find((n) => n.id === peer)?.name ?? peer);
  const trouble = node.trouble();
  const report = await trends({ back: 1 });
  const body = html`<h1>${me.name}</h1>
    <p class="muted">Region ${me.region} · network ${me.network} · <code>${me.peerId}</code></p>
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
  return String(await document(me.name, body));
}

async function newestListings({ reader, fence, leftOut }: ApiContext, nameOf: NameOf) {
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

function document(title: string, body: ReturnType<typeof html>) {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width,initial-scale=1" />
        <title>${title} · agrinetd</title>
        <style>
          ${raw(STYLE)}
        </style>
      </head>
      <body>
        ${body}
      </body>
    </html>`;
}
