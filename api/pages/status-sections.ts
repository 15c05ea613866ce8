import { html } from 'hono/html';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { TrendSignal } from '../../protocols/market/trends.ts';
import { parseRecordKey, publicId } from '../../protocols/wire/ids.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import type { ApiContext } from '../context.ts';
import type { AuthorCheckpoint } from '../ports/checkpoints.ts';
import type { NodeEntry } from '../ports/registration.ts';
import { type Html, timeOf } from './view.ts';

/** How a node is called, by its peer id. */
export type NameOf = (peer: string) => string;

/** Columns of numbers are named with a `#` before. */
function table(columns: readonly string[], rows: readonly Html[]): Html {
  const heads = columns.map((name) =>
    name.startsWith('#')
      ? html`<th scope="col" class="n">${name.slice(1)}</th>`
      : html`<th scope="col">${name}</th>`,
  );
  return html`<div class="scroll">
    <table>
      <tr>
        ${heads}
      </tr>
      ${rows}
    </table>
  </div>`;
}

export function jobsLine(jobs: Pick<ApiContext['jobs'], 'counts'>): Html {
  const { waiting, delayed, active, completed, dead } = jobs.counts();
  const look = html` · <span class="muted">see <code>agrinet jobs list --state dead</code></span>`;
  return html`<p>
    Jobs: ${waiting + delayed + active} queued or running, ${completed} completed,
    <span class="${dead === 0 ? '' : 'off'}">${dead} dead</span>${dead === 0 ? '' : look}
  </p>`;
}

export function nodesTable(nodes: readonly NodeEntry[]): Html {
  if (nodes.length === 0)
    return html`<p class="muted">
      No node is registered yet. To join one, run
      <code>agrinet join &lt;its url&gt; --key &lt;its API key&gt;</code>
    </p>`;
  return table(['Node', 'Region', 'Status', '#Listings', '#Lag', 'Last sync'], nodes.map(nodeRow));
}

/** Green: reachable. Amber: waiting for an operator. Red: unreachable. */
function nodeRow(node: NodeEntry): Html {
  const { name, id, url, kind, region, status, listings, lag, lastSyncAt, error } = node;
  const [look, state] =
    status !== 'active'
      ? ['wait', `◌ ${status}`]
      : node.connected
        ? ['on', '● connected']
        : node.online
          ? ['on', `● ${kind === 'http' ? 'HTTP only' : 'reached over HTTP'}`]
          : ['off', `○ ${kind === 'http' ? 'HTTP only, ' : ''}unreachable`];
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
    <td>${lastSyncAt === 0 ? 'never' : timeOf(lastSyncAt)}</td>
  </tr>`;
}

/** The effective checkpoint of each node that has one, and whether it is what its entries give. */
export function checkpointsTable(checkpoints: readonly AuthorCheckpoint[], nameOf: NameOf): Html | string {
  if (checkpoints.length === 0) return '';
  const rows = checkpoints.map(({ author, time, count, bytes, contested, verified, why }) => {
    const [look, state] = contested ? (['off', '▲ contested'] as const) : VERIFIED[verified ?? 'not yet'];
    return html`<tr>
      <td>${nameOf(author)}</td>
      <td>${isoTime(time).slice(0, 10)}</td>
      <td class="n">${count}</td>
      <td class="n">${Math.ceil(bytes / 1024)}</td>
      <td class="${look}">${state}${why === undefined ? '' : html`<small>${why}</small>`}</td>
    </tr>`;
  });
  return html`<h2>Checkpoints</h2>
    ${table(['Node', 'Signed', '#Records', '#KiB', 'Verified'], rows)}`;
}

const VERIFIED = {
  own: ['on', '● made here'],
  true: ['on', '● verified'],
  false: ['off', '▲ false'],
  incomplete: ['wait', '◌ cannot be verified yet'],
  'not yet': ['wait', '◌ not verified yet'],
} as const;

/** How much of each owner is held; bars relative to the owner with the most listings. */
export function holdingsTable(owners: ReturnType<ApiContext['digest']>['owners'], nameOf: NameOf): Html {
  const counts = Object.entries(owners).map(([owner, { collections }]) => ({
    owner,
    listings: collections['listings']?.count ?? 0,
    prices: collections['prices']?.count ?? 0,
  }));
  const most = Math.max(1, ...counts.map(({ listings }) => listings));
  const rows = counts.map(
    ({ owner, listings, prices }) =>
      html`<tr>
        <td>${nameOf(owner)}</td>
        <td class="n">${listings}</td>
        <td>${bar((100 * listings) / most)}</td>
        <td class="n">${prices}</td>
      </tr>`,
  );
  return table(['Owner', '#Listings', '', '#Prices'], rows);
}

/** A bar of so many percent. */
function bar(percent: number): Html {
  return html`<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
    <rect class="back" width="100" height="10" />
    <rect width="${Math.round(percent)}" height="10" />
  </svg>`;
}

/** A bar of so many percent of one half, to the left when they are below zero. */
function movement(percent: number, confidence: number): Html {
  const width = Math.round(Math.abs(percent));
  const side = percent < 0 ? 'down' : 'up';
  return html`<svg class="move" viewBox="-100 0 200 10" preserveAspectRatio="none" aria-hidden="true">
    <rect
      class="${side}"
      x="${percent < 0 ? -width : 0}"
      width="${width}"
      height="10"
      opacity="${(0.4 + 0.6 * confidence).toFixed(2)}"
    />
  </svg>`;
}

/** Bars to the left for what fell and to the right for what rose, against the largest change; paler when less certain. */
export function movementsTable(signals: readonly TrendSignal[]): Html | string {
  if (signals.length === 0) return '';
  const most = Math.max(1, ...signals.map(({ changePct }) => Math.abs(changePct)));
  const rows = signals.map(({ commodity, unit, kind, changePct, confidence, sampleSize, from, to }) => {
    return html`<tr>
      <td>${commodity} <span class="muted">${unit}</span></td>
      <td>${kind}</td>
      <td>${movement((100 * changePct) / most, confidence)}</td>
      <td class="n">${changePct > 0 ? '+' : ''}${changePct} %</td>
      <td class="n">${sampleSize}</td>
      <td class="n">${confidence}</td>
      <td>${from.period} → ${to.period}</td>
    </tr>`;
  });
  return table(['Commodity', 'Prices', '', '#Change', '#Markets', '#Confidence', 'Periods'], rows);
}

export function listingsTable(rows: readonly Html[]): Html {
  if (rows.length === 0)
    return html`<p class="muted">
      None yet. To import some at market prices, run
      <code>agrinet import &lt;prices.csv&gt; --listings --user &lt;seller&gt;</code>
    </p>`;
  return table(['Listing', 'Market', '#Price', 'Region', 'Owner'], rows);
}

/** Throws for a listing that cannot be shown. */
export function listingRow({ key, view }: RecordState, nameOf: NameOf): Html {
  const parts = parseRecordKey(key);
  const title = String(view['title'] ?? view['commodity'] ?? view['productId'] ?? '');
  return html`<tr>
    <td><a href="/market/listings/${parts ? publicId(parts) : ''}">${title}</a></td>
    <td>${String(view['market'] ?? view['location'] ?? '')}</td>
    <td class="n">${String(view['price'] ?? '')} ${String(view['currency'] ?? '')}</td>
    <td>${String(view['region'] ?? '')}</td>
    <td>${nameOf(parts?.owner ?? '')}</td>
  </tr>`;
}
