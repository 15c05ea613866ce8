import { createHash, timingSafeEqual } from 'node:crypto';
import type { Context } from 'hono';
import { AgrinetError } from '../../protocols/errors.ts';
import { type ApiEnv, guard, mayCall, type RouteAccess } from '../access.ts';
import type { ApiContext } from '../context.ts';
import { router, type Router } from '../route.ts';
import type { TrendReports } from '../trend-reports.ts';
import { answerWith, type Shown } from './shell.ts';
import { type View, viewOf } from './view.ts';

/** A page: `show` is given who reads it, and throws what cannot be shown. */
export interface Page {
  readonly access: RouteAccess;
  readonly path: string;
  readonly show: (view: View) => Shown | Promise<Shown>;
}

/** After an action: the path of this node to continue at, and a line to show there; or the form again, with what is wrong. */
export type Done = { readonly to: string; readonly notice?: string } | Shown;

/** What a form of a page does. It runs only when a page of the same session has sent it. */
export interface Action {
  readonly access: RouteAccess;
  readonly path: string;
  readonly act: (view: View, form: URLSearchParams) => Done | Promise<Done>;
}

/** The routes of pages and actions. */
export function pageRoutes(
  node: ApiContext,
  trends: TrendReports,
  pages: readonly Page[],
  actions: readonly Action[] = [],
): Router {
  const app = router();
  for (const { access, path, show } of pages)
    app.get(path, admitted(access), guard(access), async (c) => {
      const view = viewOf(c, node, trends);
      return answerWith(view, await show(view));
    });
  for (const { access, path, act } of actions)
    app.post(path, admitted(access), guard(access), async (c) => {
      refuseOtherSites(c);
      const form = await formOf(c);
      const view = viewOf(c, node, trends);
      refuseStale(view, form);
      const done = await act(view, form);
      if (!('to' in done)) return answerWith(view, done);
      if (done.notice !== undefined) view.session?.leaveNotice(done.notice);
      return c.redirect(done.to, 303);
    });
  return app;
}

/** Leads whoever has to sign in first there, and back. */
function admitted(access: RouteAccess) {
  return async (c: Context<ApiEnv>, next: () => Promise<void>): Promise<Response | undefined> => {
    const principal = c.get('principal');
    if (principal.id !== 'anonymous' || mayCall(principal, access)) {
      await next();
      return undefined;
    }
    const { pathname, search } = new URL(c.req.url);
    const back = c.req.method === 'GET' ? `?next=${encodeURIComponent(pathname + search)}` : '';
    return c.redirect(`/sign-in${back}`, 303);
  };
}

/** The fields of a form. Throws `media-unsupported`. */
async function formOf(c: Context<ApiEnv>): Promise<URLSearchParams> {
  const type = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/x-www-form-urlencoded')
    throw new AgrinetError('media-unsupported', 'send a form, as application/x-www-form-urlencoded');
  return new URLSearchParams(await c.req.text());
}

/** Pages that CORS_ORIGINS allows to use the API still have no session here. */
function refuseOtherSites(c: Context<ApiEnv>): void {
  const site = c.req.header('sec-fetch-site');
  const origin = c.req.header('origin');
  const elsewhere =
    origin !== undefined && URL.parse(origin)?.host !== URL.parse(`http://${c.req.header('host')}`)?.host;
  if ((site !== undefined && site !== 'same-origin' && site !== 'none') || (site === undefined && elsewhere))
    throw new AgrinetError(
      'origin-refused',
      'this form was sent from a page of another site; open the page of this node and send it from there',
    );
}

/** Every form carries the token of its session. Nobody is signed in on a page that has none: signing in needs no token. */
function refuseStale({ session, principal }: View, form: URLSearchParams): void {
  if (session === undefined && principal.id === 'anonymous') return;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const given = digest(form.get('csrf') ?? '');
  if (session === undefined || !timingSafeEqual(given, digest(session.csrf)))
    throw new AgrinetError(
      'form-stale',
      'this form belongs to an earlier sign-in; open its page again and send it from there',
    );
}
