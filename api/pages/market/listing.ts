import { html } from 'hono/html';
import { AgrinetError, errorCode } from '../../../protocols/errors.ts';
import { attachmentsOf } from '../../../protocols/market/attachment.ts';
import { LBTAS } from '../../../protocols/market/lbtas.ts';
import { parseParty } from '../../../protocols/market/party.ts';
import type { RoleReputation } from '../../../protocols/market/reputation.ts';
import { isLive, type RecordState } from '../../../protocols/open-dialog/record.ts';
import { parsePeerId } from '../../../protocols/wire/identity.ts';
import { parseRecordKey, publicIdOf } from '../../../protocols/wire/ids.ts';
import { attachmentUrl, shownRef } from '../../attachment-urls.ts';
import type { ApiContext } from '../../context.ts';
import { outsideOf } from '../../fenced.ts';
import { keyOf, listingJson } from '../../records.ts';
import type { TrendReports } from '../../trend-reports.ts';
import { type Page, pageRoutes } from '../page.ts';
import { scrollTable } from '../table.ts';
import type { TextName } from '../texts.ts';
import { type Html, timeOf, type View } from '../view.ts';

/** A listing with its pictures and what others say of its seller. */
const listing: Page = {
  access: 'read',
  path: '/market/listings/:id',
  async show(view) {
    const { node, t } = view;
    const state = await node.reader.get(keyOf(view.param('id'), node.self, 'listings'));
    if (!isLive(state)) throw new AgrinetError('not-found', 'Not found');
    const text = textsOf(state);
    const outside = outsideOf(node.fence, state);
    return {
      title: text('title') || text('commodity') || text('productId') || t('listing.untitled'),
      body: html`${outside === undefined ? '' : html`<p class="notice">${t('listing.outside')}</p>`}
        ${pictures(state)}
        ${text('description') === '' ? '' : html`<p class="written">${text('description')}</p>`}
        ${await facts(view, state)} ${await reputation(view, state)}
        <p class="muted">
          <a href="/listings/${encodeURIComponent(publicIdOf(state.key))}">${t('listing.json')}</a>
        </p>`,
    };
  },
};

/** Fields as texts; empty for those that are not there. */
function textsOf({ view }: RecordState): (field: string) => string {
  return (field) => String(view[field] ?? '');
}

/** Those that this node serves itself: a picture elsewhere would tell its host who looks at what. */
function pictures(state: RecordState): Html | '' {
  const shown = attachmentsOf(state).filter(({ type }) => type.startsWith('image/'));
  if (shown.length === 0) return '';
  return html`<ul class="cards">
    ${shown.map(
      (ref) =>
        html`<li>
          <img
            class="picture"
            src="${attachmentUrl('', state.key, ref.sha256)}"
            alt="${shownRef(ref).name}"
            loading="lazy"
          />
        </li>`,
    )}
  </ul>`;
}

async function facts(view: View, state: RecordState): Promise<Html> {
  const { t } = view;
  const text = textsOf(state);
  const amount = (field: string): string => {
    const value = state.view[field];
    return typeof value === 'number' ? view.number(value) : text(field);
  };
  const joined = (...parts: readonly string[]): string => parts.filter((each) => each !== '').join(', ');
  const unit = text('unit');
  const price = amount('price');
  const { type, status, coordinates } = listingJson(state);
  const rows: readonly [TextName, Html | string][] = [
    ['listing.type', t(type === 'request' ? 'listing.type.request' : 'listing.type.offer')],
    ['listing.status', status],
    ['listing.price', price && `${price} ${text('currency')}${unit && ` / ${unit}`}`],
    ['listing.price-day', text('priceDate')],
    ['listing.quantity', amount('quantity') && `${amount('quantity')} ${unit}`],
    ['listing.available', amount('available') && `${amount('available')} ${unit}`],
    ['listing.commodity', joined(text('commodity'), text('category'))],
    ['listing.place', joined(text('market'), text('location'), text('region'))],
    ['listing.coordinates', coordinates ?? ''],
    ['listing.seller', await sellerName(view, state)],
    ['listing.changed', timeOf(state.updated[0])],
  ];
  return html`<dl class="facts">
    ${rows
      .filter(([, value]) => value !== '')
      .map(
        ([name, value]) =>
          html`<dt>${t(name)}</dt>
            <dd>${value}</dd>`,
      )}
  </dl>`;
}

async function sellerName({ node }: View, state: RecordState): Promise<string> {
  const owner = parseRecordKey(state.key)?.owner ?? '';
  const name = await nodeName(node, owner);
  const user = textsOf(state)('userId');
  return user === '' ? name : `${user}, ${name}`;
}

/** The peer id of a node that is not registered here. */
async function nodeName({ registration }: Pick<ApiContext, 'registration'>, id: string): Promise<string> {
  const own = registration.identity();
  if (id === own.peerId) return own.name;
  try {
    return (await registration.node(id)).name || id;
  } catch (error) {
    if (errorCode(error) !== 'node-unknown') throw error;
    return id;
  }
}

/** `user@peer-id`, or the node where the listing names no user; undefined where nobody can be rated. */
function ratedParty(state: RecordState): string | undefined {
  const owner = parseRecordKey(state.key)?.owner ?? '';
  const party = `${textsOf(state)('userId')}@${owner}`;
  if (parseParty(party) !== undefined) return party;
  return parsePeerId(owner);
}

async function reputation({ node, t }: View, state: RecordState): Promise<Html | ''> {
  const party = ratedParty(state);
  if (party === undefined) return '';
  const { roles } = await node.trust.proof(party);
  const columns = [
    t('ratings.role'),
    ...LBTAS.levels.map((_, at) => `#${LBTAS.min + at}`),
    `#${t('ratings.nodes')}`,
    `#${t('ratings.ratings')}`,
  ];
  return html`<h2>${t('ratings.title')}</h2>
    ${
      roles.length === 0
        ? html`<p>${t('ratings.none')}</p>`
        : html`<p class="muted">${t('ratings.scale')}</p>
            ${scrollTable(t('ratings.title'), columns, roles.map(roleRow), false)}`
    }`;
}

function roleRow({ role, active }: RoleReputation): Html {
  return html`<tr>
    <th scope="row">${role}</th>
    ${active.levels.map((count) => html`<td class="n">${count}</td>`)}
    <td class="n">${active.nodes}</td>
    <td class="n">${active.ratings}</td>
  </tr>`;
}

export function listingPageRoutes(node: ApiContext, trends: TrendReports) {
  return pageRoutes(node, trends, [listing]);
}
