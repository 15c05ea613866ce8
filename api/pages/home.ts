import { html } from 'hono/html';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { parseRecordKey, publicId } from '../../protocols/wire/ids.ts';
import type { ApiContext } from '../context.ts';
import { insideFence } from '../fenced.ts';
import { Shown as ShownRecords } from '../left-out.ts';
import { searchOf } from '../listing-search.ts';
import { nextOf, placeOf } from '../paging.ts';
import type { TrendReports } from '../trend-reports.ts';
import { type Page, pageRoutes } from './page.ts';
import { type Html, timeOf, type View } from './view.ts';

/** Listings on a page. */
const LISTED = 20;

/** The members' home: search, and the newest listings. */
const home: Page = {
  access: 'read',
  path: '/',
  async show(view) {
    const { t } = view;
    const words = view.query('q').trim();
    const { rows, isBehind, more } = await found(view, words);
    return {
      title: t('home.title'),
      body: html`<form class="search" role="search" action="/">
          <div class="wide">
            <label for="q">${t('home.search')}</label>
            <input id="q" name="q" type="search" maxlength="256" value="${words}" />
          </div>
          <button class="main">${t('home.search.button')}</button>
        </form>
        <h2>${words === '' ? t('home.newest') : t('home.found', { words })}</h2>
        ${isBehind ? html`<p class="muted">${t('home.behind')}</p>` : ''}
        ${rows.length === 0 ? html`<p>${t(words === '' ? 'home.none' : 'home.none-found')}</p>` : cards(rows)}
        ${more === undefined ? '' : html`<p><a href="${more}" rel="next">${t('home.more')}</a></p>`}`,
    };
  },
};

async function found(view: View, words: string) {
  const { c, node } = view;
  const filter = { fields: {}, keep: insideFence(node.fence) };
  const from = placeOf(c, c.req.query('cursor'));
  const search = searchOf({ q: words });
  const page =
    search === undefined
      ? { ...(await node.reader.list('listings', filter, LISTED, from)), isBehind: false }
      : await node.search.page(search, filter, LISTED, from);
  const shown = new ShownRecords(node.leftOut);
  shown.missed(page.unread);
  const rows = shown.each(
    page.records,
    ({ key }) => key,
    (state) => listingCard(view, state),
  );
  shown.warn(c);
  const { cursor } = nextOf(c, page.cursor);
  const query = new URLSearchParams({ ...(words === '' ? {} : { q: words }), cursor: cursor ?? '' });
  return { rows, isBehind: page.isBehind, more: cursor === undefined ? undefined : `/?${query}` };
}

function cards(rows: readonly Html[]): Html {
  return html`<ul class="cards">
    ${rows}
  </ul>`;
}

/** Throws for a listing that cannot be shown. */
function listingCard(view: View, { key, view: fields, created }: RecordState): Html {
  const parts = parseRecordKey(key);
  const text = (name: string): string => String(fields[name] ?? '');
  const title = text('title') || text('commodity') || text('productId');
  const price = fields['price'];
  const place = [text('market') || text('location'), text('region')].filter((each) => each !== '').join(', ');
  return html`<li class="card">
    <a href="/market/listings/${parts ? publicId(parts) : ''}"><strong>${title}</strong></a>
    ${
      price === undefined
        ? ''
        : html`<div>
            ${typeof price === 'number' ? view.number(price) : text('price')}
            ${text('currency')}${text('unit') === '' ? '' : ` / ${text('unit')}`}
          </div>`
    }
    ${place === '' ? '' : html`<div class="muted">${place}</div>`}
    <small>${timeOf(created[0])}</small>
  </li>`;
}

export function homeRoutes(node: ApiContext, trends: TrendReports) {
  return pageRoutes(node, trends, [home]);
}
