import { html, raw } from 'hono/html';
import { parseRecordKey, publicId } from '../protocols/wire/ids.ts';
import { trendSummary, type TrendSignal } from '../protocols/market/trends.ts';
import type { ApiContext } from './context.ts';
import { insideFence } from './fenced.ts';
import type { NodeEntry, Sees } from './ports/registration.ts';
import type { TrendReports } from './trend-reports.ts';
import { isoTime } from '../protocols/wire/iso-time.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { Shown } from './left-out.ts';

/** No script, no request beyond this one: a page for a look at the node. */
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

/**
 * The node's one plain page: itself, its nodes and their lag, the digest, price movements, the newest listings; for the operator's key also
 * its jobs, and whatever private channels move.
 */
export async function page(node: ApiContext, trends: TrendReports, sees: Sees): Promise<string> {
  const me = node.registration.identity();
  const { digest, owners } = node.digest();
  const nodes = await node.registration.nodes(sees);
  const { records, unread = [] } = await node.reader.list(
    'listings',
    { fields: {}, keep: insideFence(node.fence) },
    20,
  );
  const nameOf = (peer: string): string =>
    peer === me.peerId ? `${me.name} (this node)` : (nodes.find((n) => n.id === peer)?.name ?? peer);
  const counts = Object.entries(owners).map(([owner, { collections }]) => ({
    owner,
    listings: collections['listings']?.count ?? 0,
    prices: collections['prices']?.count ?? 0,
  }));
  const most = Math.max(1, ...counts.map((c) => c.listings));
  const trouble = node.trouble();
  const report = await trends({ back: 1 });
  const shown = new Shown(node.leftOut);
  shown.missed(unread);
  const newest = shown.each(
    records,
    ({ key }) => key,
    (state) => listingRow(state, nameOf),
  );
  const missing = shown.leftOut(false);
  const body = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width,initial-scale=1" />
        <title>${me.name} · agrinetd</title>
        <style>
          ${raw(STYLE)}
        </style>
      </head>
      <body>
        <h1>${me.name}</h1>
        <p class="muted">Region ${me.region} · network ${me.network} · <code>${me.peerId}</code></p>
        ${trouble === undefined ? html`<p class="on">● ready</p>` : html`<p class="off">● not ready: ${trouble.message}</p>`}
        ${node.degraded(sees).map((what) => html`<p class="off">◐ degraded: ${what}</p>`)}
        ${node.alarms(sees).map((alarm) => html`<p class="alarm">▲ ${alarm.text} <span class="muted">${alarm.at}</span></p>`)}
        ${sees === 'whole' ? jobsLine(node.jobs) : ''}
        <h2>Nodes</h2>
        ${
          nodes.length === 0
            ? html`<p class="muted">
                No node is registered yet. Join one with
                <code>npx agrinet join &lt;its url&gt; --key &lt;its API key&gt;</code>
              </p>`
            : html`<div class="scroll">
                <table>
                  <tr>
                    <th>Node</th>
                    <th>Region</th>
                    <th>Status</th>
                    <th class="n">Listings</th>
                    <th class="n">Lag</th>
                    <th>Last sync</th>
                  </tr>
                  ${nodes.map(nodeRow)}
                </table>
              </div>`
        }
        <h2>What this node holds</h2>
        <p class="muted">Digest <code>${digest}</code> — nodes that hold the same show the same.</p>
        <div class="scroll">
          <table>
            <tr>
              <th>Owner</th>
              <th class="n">Listings</th>
              <th></th>
              <th class="n">Prices</th>
            </tr>
            ${counts.map(
              (c) =>
                html`<tr>
                  <td>${nameOf(c.owner)}</td>
                  <td class="n">${c.listings}</td>
                  <td>
                    <div class="bar"><i style="width:${Math.round((100 * c.listings) / most)}%"></i></div>
                  </td>
                  <td class="n">${c.prices}</td>
                </tr>`,
            )}
          </table>
        </div>
        <h2>How prices move</h2>
        <p class="muted">
          ${trendSummary(report, undefined)}${report.asOf === null ? '' : ` As of ${report.asOf}, from ${report.prices} prices.`}
        </p>
        ${movements(report.signals.slice(0, SIGNALS))}
        <h2>Newest listings</h2>
        ${
          newest.length === 0
            ? html`<p class="muted">
                None yet. Offer at market prices with
                <code>npx agrinet import &lt;prices.csv&gt; --listings --user &lt;seller&gt;</code>
              </p>`
            : html`<div class="scroll">
                <table>
                  <tr>
                    <th>Listing</th>
                    <th>Market</th>
                    <th class="n">Price</th>
                    <th>Region</th>
                    <th>Owner</th>
                  </tr>
                  ${newest}
                </table>
              </div>`
        }
        ${missing.map(({ collection, id, reason }) => html`<p class="off">left out: ${collection} ${id} (${reason})</p>`)}
        <p class="muted">
          <a href="/federation/nodes">nodes</a> · <a href="/federation/digest">digest</a> ·
          <a href="/federation/export">export</a> · <a href="/trends">trends</a> ·
          <a href="/openapi.json">API</a> ·
          <a href="/ready">ready</a>
        </p>
      </body>
    </html>`;
  return String(await body);
}

function listingRow({ key, view }: RecordState, nameOf: (peer: string) => string) {
  const parts = parseRecordKey(key);
  const title = String(view['title'] ?? view['commodity'] ?? view['productId'] ?? '');
  return html`<tr>
    <td><a href="/listings/${parts ? publicId(parts) : ''}">${title}</a></td>
    <td>${String(view['market'] ?? view['location'] ?? '')}</td>
    <td class="n">${String(view['price'] ?? '')} ${String(view['currency'] ?? '')}</td>
    <td>${String(view['region'] ?? '')}</td>
    <td>${nameOf(parts?.owner ?? '')}</td>
  </tr>`;
}

function jobsLine(jobs: Pick<ApiContext['jobs'], 'counts'>) {
  const { waiting, delayed, active, completed, dead } = jobs.counts();
  const look = html` · <span class="muted">look with <code>npx agrinet jobs list --state dead</code></span>`;
  return html`<p>
    Jobs: ${waiting + delayed + active} to do, ${completed} done,
    <span class="${dead === 0 ? '' : 'off'}">${dead} dead</span>${dead === 0 ? '' : look}
  </p>`;
}

/** Green: reached. Amber: waits for somebody. Red: trouble. */
function nodeRow(node: NodeEntry) {
  const { name, id, url, kind, region, status, listings, lag, lastSyncAt, error } = node;
  const [look, state] =
    status !== 'active'
      ? ['wait', `◌ ${status}`]
      : node.connected
        ? ['on', '● connected']
        : node.online
          ? ['on', `● ${kind === 'http' ? 'HTTP only' : 'reached over HTTP'}`]
          : ['off', `○ ${kind === 'http' ? 'HTTP only, ' : ''}away`];
  const why = status === 'active' ? error : undefined;
  return html`<tr>
    <td>
      ${name === '' ? url : name}<small class="muted"
        ><code>${name === '' || url === '' ? id : url}</code></small
      >
    </td>
    <td>${region}</td>
    <td class="${look}">${state}${why === undefined ? '' : html`<small>${why}</small>`}</td>
    <td class="n">${listings}</td>
    <td class="n">${lag ?? '–'}</td>
    <td>${lastSyncAt === 0 ? 'never' : isoTime(lastSyncAt).slice(0, 19).replace('T', ' ')}</td>
  </tr>`;
}

/** Bars to the left for what fell and to the right for what rose, against the largest change; paler when less certain. */
function movements(signals: readonly TrendSignal[]) {
  if (signals.length === 0) return '';
  const most = Math.max(1, ...signals.map(({ changePct }) => Math.abs(changePct)));
  const rows = signals.map(({ commodity, unit, changePct, confidence, sampleSize, from, to }) => {
    const width = Math.round((100 * Math.abs(changePct)) / most);
    const style = `width:${width}%;opacity:${(0.4 + 0.6 * confidence).toFixed(2)}`;
    return html`<tr>
      <td>${commodity} <span class="muted">${unit}</span></td>
      <td>
        <div class="move"><i class="${changePct < 0 ? 'down' : 'up'}" style="${style}"></i></div>
      </td>
      <td class="n">${changePct > 0 ? '+' : ''}${changePct} %</td>
      <td class="n">${sampleSize}</td>
      <td class="n">${confidence}</td>
      <td>${from.period} → ${to.period}</td>
    </tr>`;
  });
  return html`<div class="scroll">
    <table>
      <tr>
        <th>Commodity</th>
        <th></th>
        <th class="n">Change</th>
        <th class="n">Markets</th>
        <th class="n">Confidence</th>
        <th>Periods</th>
      </tr>
      ${rows}
    </table>
  </div>`;
}
