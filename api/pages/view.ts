import { html } from 'hono/html';
import type { Context } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import type { ApiEnv, Principal } from '../access.ts';
import type { ApiContext } from '../context.ts';
import type { Session } from '../ports/sessions.ts';
import type { TrendReports } from '../trend-reports.ts';
import { isLanguage, type LanguageTag, preferredLanguage, type Translate, translator } from './texts.ts';

/** Markup; a string in it was escaped. */
export type Html = ReturnType<typeof html>;

/** What a page gets: the node, who is reading, and the reader's language. */
export interface View {
  readonly c: Context<ApiEnv>;
  readonly node: ApiContext;
  readonly trends: TrendReports;
  readonly principal: Principal;
  readonly session: Session | undefined;
  readonly language: LanguageTag;
  readonly t: Translate;
  /** Path and query. */
  readonly here: string;
  /** A parameter of the query; empty when it is not given. */
  query(name: string): string;
  /** A parameter of the path. */
  param(name: string): string;
  /** A number in the reader's form. */
  number(value: number): string;
}

const LANGUAGE_COOKIE = 'agrinet-language';
const YEAR_S = 365 * 24 * 3600;

/** `?lang=` chooses the language for a year. */
function languageOf(c: Context<ApiEnv>): LanguageTag {
  const chosen = c.req.query('lang');
  if (isLanguage(chosen)) {
    setCookie(c, LANGUAGE_COOKIE, chosen, { path: '/', sameSite: 'Lax', maxAge: YEAR_S });
    return chosen;
  }
  const kept = getCookie(c, LANGUAGE_COOKIE);
  return isLanguage(kept) ? kept : preferredLanguage(c.req.header('accept-language'));
}

export function viewOf(c: Context<ApiEnv>, node: ApiContext, trends: TrendReports): View {
  const language = languageOf(c);
  const { pathname, search } = new URL(c.req.url);
  // Unset when the request was refused before its caller was known.
  const principal = (c.get('principal') as Principal | undefined) ?? { id: 'anonymous', scopes: new Set() };
  const form = new Intl.NumberFormat(language, { maximumFractionDigits: 2 });
  return {
    c,
    node,
    trends,
    principal,
    session: c.get('session'),
    language,
    t: translator(language),
    here: pathname + search,
    query: (name) => c.req.query(name) ?? '',
    param: (name) => c.req.param(name) ?? '',
    number: (value) => form.format(value),
  };
}

/** A time; the script of the page shows it in the reader's zone. Milliseconds since 1970. */
export function timeOf(ms: number): Html {
  const iso = isoTime(ms);
  return html`<time datetime="${iso}">${iso.slice(0, 16).replace('T', ' ')} UTC</time>`;
}

/** A form that sends an action: the fields, and the proof that a page of this session has asked for it. */
export function form(view: View, action: string, fields: Html | readonly Html[], className = ''): Html {
  return html`<form method="post" action="${action}" class="${className}">
    <input type="hidden" name="csrf" value="${view.session?.csrf ?? ''}" />
    ${fields}
  </form>`;
}

/** A form of one button. `values` go with it. */
export function actionButton(
  view: View,
  action: string,
  label: string,
  options: {
    readonly values?: Readonly<Record<string, string>>;
    readonly className?: string;
    /** What a screen reader says in place of the label, when several buttons have the same. */
    readonly describes?: string;
  } = {},
): Html {
  const { values = {}, className = '', describes } = options;
  const fields = Object.entries(values).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`,
  );
  const described = describes === undefined ? '' : html` aria-label="${label}: ${describes}"`;
  return form(
    view,
    action,
    [...fields, html`<button class="${className}" ${described}>${label}</button>`],
    'inline',
  );
}

/** What is wrong with what was sent; the field that it is about names it. */
export function problemLine(text: string): Html {
  return html`<p class="notice bad" role="alert" id="problem">${text}</p>`;
}

/** A field that has to be filled in, with its label. */
export function requiredField(
  name: string,
  label: string,
  options: {
    readonly value?: string;
    /** Characters. */
    readonly max: number;
    readonly hint?: string;
    /** Whether `problemLine` is about it. */
    readonly isWrong?: boolean;
    /** An API key, which a browser may keep and does not show. */
    readonly isSecret?: boolean;
  },
): Html {
  const { value = '', max, hint, isWrong = false, isSecret = false } = options;
  const described = [...(hint === undefined ? [] : [`${name}-hint`]), ...(isWrong ? ['problem'] : [])];
  return html`<p>
    <label for="${name}">${label}</label>
    <input
      id="${name}"
      name="${name}"
      required
      maxlength="${max}"
      value="${value}"
      ${isSecret ? html`type="password" autocomplete="current-password"` : ''}
      ${described.length === 0 ? '' : html`aria-describedby="${described.join(' ')}"`}
      ${isWrong ? html`aria-invalid="true"` : ''}
    />
    ${hint === undefined ? '' : html`<small id="${name}-hint">${hint}</small>`}
  </p>`;
}
