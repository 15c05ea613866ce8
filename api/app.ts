import { getPath } from 'hono/utils/url';
import { AgrinetError } from '../protocols/errors.ts';
import { boundsOf, answerErrors } from './bounds.ts';
import type { ApiContext } from './context.ts';
import { GROUPS, PAGES } from './groups.ts';
import { requestId } from './limits/request-id.ts';
import { router, type Router } from './route.ts';
import type { TrendReports } from './trend-reports.ts';

const ALL = [...GROUPS, ...PAGES] as const;

/** Makes an app of some groups of routes, behind what bounds all requests. */
type Mount = (groups: readonly (typeof ALL)[number][]) => Promise<Router>;

function mounting(node: ApiContext): Mount {
  const bound = boundsOf(node);
  const trends: TrendReports = (query) => node.trends.report(query);
  return async (groups) => {
    const loaded = await Promise.all(groups.map(async ({ at, load }) => ({ at, routes: await load() })));
    const app = router();
    answerErrors(app, node);
    bound(app);
    for (const { at, routes } of loaded) app.route(at, routes(node, trends));
    return app;
  };
}

/** Every route, and the document that describes them. */
async function everything(node: ApiContext, mount: Mount): Promise<Router> {
  const [app, { describeRoutes }] = await Promise.all([mount(ALL), import('./openapi.ts')]);
  describeRoutes(app, node.version);
  return app;
}

/** Every route of the node, behind what bounds them all. `app.request()` tests it without a socket. */
export function createApp(node: ApiContext): Promise<Router> {
  return everything(node, mounting(node));
}

/** Answers for routes that cannot be loaded; the next request tries to load them again. */
function unloaded(node: ApiContext, cause: unknown): Router {
  const app = router();
  answerErrors(app, node);
  app.use(requestId(node.env));
  app.all('*', () => {
    throw new AgrinetError(
      'program-changed',
      'the program’s files were replaced or removed while the daemon was running; restart the daemon',
      { cause },
    );
  });
  return app;
}

/** In place of a first segment that no route begins with. */
const UNKNOWN = '*';
const SEGMENTS: ReadonlySet<string> = new Set(ALL.flatMap(({ segments }) => segments));

/**
 * The same API for a server. Groups of routes are loaded, within milliseconds, when a path that begins with one of their segments is first
 * asked for; a path that begins with none has everything loaded.
 */
export function serveApp(node: ApiContext): Pick<Router, 'fetch'> {
  const mount = mounting(node);
  const apps = new Map<string, Router>();
  const loading = new Map<string, Promise<Router>>();

  async function load(segment: string): Promise<Router> {
    const groups = ALL.filter(({ segments }) => segments.includes(segment));
    try {
      const app = await (groups.length > 0 ? mount(groups) : everything(node, mount));
      apps.set(segment, app);
      return app;
    } catch (error) {
      return unloaded(node, error);
    }
  }
  return {
    fetch(request, ...rest) {
      const first = getPath(request).split('/', 2)[1] ?? '';
      const segment = SEGMENTS.has(first) ? first : UNKNOWN;
      const app = apps.get(segment);
      if (app !== undefined) return app.fetch(request, ...rest);
      let loaded = loading.get(segment);
      if (loaded === undefined) {
        loaded = load(segment).finally(() => loading.delete(segment));
        loading.set(segment, loaded);
      }
      return loaded.then((each) => each.fetch(request, ...rest));
    },
  };
}
