import { html } from 'hono/html';
import { isOperator } from '../access.ts';
import { type AssetName, assetUrl } from './assets.ts';
import { ADMINISTRATION, type Destination, openTo, TOP } from './navigation.ts';
import { LANGUAGES, type LanguageTag } from './texts.ts';
import { actionButton, type Html, type View } from './view.ts';

/** What a page shows. */
export interface Shown {
  /** Of the document, and its one `<h1>`. */
  readonly title: string;
  readonly body: Html | readonly Html[];
  readonly status?: 200 | 400 | 403 | 404 | 409 | 422 | 429;
  /** Beside our own: `uplot.js` and the like. */
  readonly scripts?: readonly AssetName[];
  readonly styles?: readonly AssetName[];
}

/** What a browser may do with a page: nothing from elsewhere, no script or style in the markup, in nobody's frame. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Answers with a page. */
export async function answerWith(view: View, shown: Shown): Promise<Response> {
  const { c, session } = view;
  c.header('content-security-policy', POLICY);
  // Origin and Referer stay with forms of this node, and go nowhere else.
  c.header('referrer-policy', 'same-origin');
  c.header('x-content-type-options', 'nosniff');
  c.header('cross-origin-opener-policy', 'same-origin');
  c.header('cache-control', session === undefined ? 'private, no-cache' : 'no-store');
  c.header('vary', 'accept-language, cookie');
  return c.html(String(await documentOf(view, shown)), shown.status ?? 200);
}

function documentOf(view: View, { title, body, scripts = [], styles = [] }: Shown): Html {
  const { name } = view.node.registration.identity();
  const loaded: readonly AssetName[] = [...scripts, 'agrinet.js'];
  const looks: readonly AssetName[] = [...styles, 'agrinet.css'];
  return html`<!doctype html>
    <html lang="${view.language}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width,initial-scale=1" />
        <title>${title} · ${name}</title>
        <link rel="icon" href="${assetUrl('agrinet.svg')}" type="image/svg+xml" />
        ${looks.map((each) => html`<link rel="stylesheet" href="${assetUrl(each)}" />`)}
        ${loaded.map((each) => html`<script src="${assetUrl(each)}" defer></script>`)}
      </head>
      <body>
        <a class="skip" href="#main">${view.t('shell.skip')}</a>
        ${top(view, name)} ${isAdministration(view) ? below(view) : ''}
        <main id="main" tabindex="-1">
          <h1>${title}</h1>
          ${noticeOf(view)} ${body}
        </main>
        ${bottom(view)}
      </body>
    </html>`;
}

const isAdministration = ({ c, principal }: View): boolean =>
  isOperator(principal) && /^\/admin(\/|$)/.test(c.req.path);

function links(view: View, destinations: readonly Destination[]): Html[] {
  const { path } = view.c.req;
  const isHere = (to: string): boolean => path === to || (to === '/admin' && path.startsWith('/admin/'));
  return openTo(view.principal, destinations).map(({ path: to, text }) => {
    const current = destinations === TOP ? isHere(to) : path === to;
    return html`<a href="${to}" ${current ? html`aria-current="page"` : ''}>${view.t(text)}</a>`;
  });
}

function top(view: View, name: string): Html {
  return html`<header class="top">
    <a class="brand" href="/"><img src="${assetUrl('agrinet.svg')}" alt="" />${name}</a>
    <nav aria-label="${view.t('shell.navigation')}">${links(view, TOP)}</nav>
    <div class="who">${languages(view)} ${caller(view)}</div>
  </header>`;
}

function below(view: View): Html {
  return html`<nav class="sub" aria-label="${view.t('admin.navigation')}">
    ${links(view, ADMINISTRATION)}
  </nav>`;
}

/** Links to the same page in the other languages. */
function languages(view: View): Html[] {
  return (Object.keys(LANGUAGES) as LanguageTag[])
    .filter((tag) => tag !== view.language)
    .map((tag) => {
      const { name, reviewed } = LANGUAGES[tag];
      const url = new URL(view.here, 'http://here.invalid');
      url.searchParams.set('lang', tag);
      return html`<a href="${url.pathname}${url.search}" lang="${tag}" hreflang="${tag}"
        >${name}${reviewed ? '' : html` <span class="muted">(rasimu)</span>`}</a
      >`;
    });
}

function caller(view: View): Html {
  const { session, t } = view;
  if (session === undefined)
    return view.c.req.path === '/sign-in' ? html`` : html`<a href="/sign-in">${t('shell.sign-in')}</a>`;
  const name = session.principal.userId ?? t('shell.operator');
  return html`<span>${t('shell.signed-in', { name })}</span>
    ${actionButton(view, '/sign-out', t('shell.sign-out'), { className: 'link' })}`;
}

/** What the action before has to say. */
function noticeOf({ session }: View): Html {
  const text = session?.takeNotice();
  return html`<div role="status">${text === undefined ? '' : html`<p class="notice">${text}</p>`}</div>`;
}

function bottom({ node, t }: View): Html {
  const { region } = node.registration.identity();
  return html`<footer>
    <span>${t('shell.region', { region })}</span>
    <span>agrinetd ${node.version}</span>
    <a href="/openapi.json">${t('shell.api')}</a>
  </footer>`;
}
