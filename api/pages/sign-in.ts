import { html } from 'hono/html';
import { isOperator, type Principal } from '../access.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import type { ApiContext } from '../context.ts';
import { callerAddress } from '../limits/address.ts';
import { createBuckets } from '../limits/token-bucket.ts';
import type { SignInWay } from '../ports/sessions.ts';
import type { TrendReports } from '../trend-reports.ts';
import { localPath } from './local-path.ts';
import { type Action, type Done, type Page, pageRoutes } from './page.ts';
import { clearSession, isPrivate, setSession } from './session-cookie.ts';
import type { Shown } from './shell.ts';
import { form, problemLine, requiredField, type View } from './view.ts';

/** Attempts to sign in per second from one address. */
const PER_SECOND = 1;
/** What a wrong one costs beside its own: the next may come two seconds later. */
const WRONG_COSTS = 1;

function signInForm(view: View, next: string, wrong?: string): Shown {
  const { t, node } = view;
  const isOpen = isPrivate(view.c, node);
  const problem = wrong ?? (isOpen ? undefined : t('sign-in.insecure'));
  return {
    title: t('sign-in.title'),
    status: wrong === undefined ? 200 : 403,
    body: html`${problem === undefined ? '' : problemLine(problem)}
    ${
      isOpen
        ? form(
            view,
            '/sign-in',
            html`<input type="hidden" name="next" value="${next}" />
              ${requiredField('key', t('sign-in.key'), {
                max: 256,
                hint: t('sign-in.key.hint'),
                isWrong: wrong !== undefined,
                isSecret: true,
              })}
              <p><button class="main">${t('sign-in.title')}</button></p>`,
            'card',
          )
        : ''
    }`,
  };
}

const signInPage: Page = {
  access: 'open',
  path: '/sign-in',
  show: (view) => signInForm(view, localPath(view.query('next'), '')),
};

/** A link is only used up by the button: what looks at links before somebody opens them does not sign in. */
const linkPage: Page = {
  access: 'open',
  path: '/sign-in/link',
  show(view) {
    const { t } = view;
    return {
      title: t('sign-in.link.title'),
      body: html`<p>${t('sign-in.link.once')}</p>
        ${form(
          view,
          '/sign-in/link',
          html`<input type="hidden" name="token" value="${view.query('token')}" />
            <button class="main">${t('sign-in.title')}</button>`,
        )}`,
    };
  },
};

/** The actions of signing in and out, with what they count of all browsers. */
function signingIn(node: ApiContext): readonly Action[] {
  const attempts = createBuckets(PER_SECOND);

  /** Throws `sign-in-insecure`, `rate-limited`; returns what a wrong attempt costs. */
  function attempt({ c, t }: View): () => void {
    if (!isPrivate(c, node)) throw new AgrinetError('sign-in-insecure', t('sign-in.insecure'));
    const address = callerAddress(c, node.limits.trustProxy) ?? 'here';
    const wait = attempts.take(address, node.env.monotonic());
    if (wait > 0) {
      const seconds = Math.ceil(wait / 1000);
      c.header('retry-after', String(seconds));
      throw new AgrinetError('rate-limited', `too many attempts to sign in; try again in ${seconds} s`);
    }
    return () => attempts.charge(address, WRONG_COSTS, node.env.monotonic());
  }

  return [
    {
      access: 'open',
      path: '/sign-in',
      async act(view, given) {
        const wrong = attempt(view);
        const next = localPath(given.get('next'), '');
        try {
          const principal = await node.access.authenticate({ apiKey: given.get('key') ?? '' });
          return await signedIn(view, principal, 'key', next);
        } catch (error) {
          if (errorCode(error) !== 'unauthorized') throw error;
          wrong();
          return signInForm(view, next, view.t('sign-in.wrong'));
        }
      },
    },
    {
      access: 'open',
      path: '/sign-in/link',
      async act(view, given) {
        const wrong = attempt(view);
        const sessions = await node.sessions();
        try {
          return await signedIn(view, sessions.useLink(given.get('token') ?? ''), 'link', '');
        } catch (error) {
          wrong();
          throw error;
        }
      },
    },
    { access: 'open', path: '/sign-out', act: (view) => signedOut(view, false) },
    { access: 'known', path: '/sign-out/everywhere', act: (view) => signedOut(view, true) },
  ];
}

/** Begins a session under a new token, whatever the browser had before, and leads on. */
async function signedIn(view: View, principal: Principal, by: SignInWay, next: string): Promise<Done> {
  const { c, node, session: before } = view;
  const sessions = await node.sessions();
  if (before !== undefined) await sessions.end([before.id]);
  const agent = c.req.header('user-agent') ?? '';
  const { token, session } = await sessions.start(principal, { by, agent });
  setSession(c, node, token);
  session.leaveNotice(view.t('sign-in.done'));
  const caller = { key: principal.id, scope: [...principal.scopes].join(' '), user: principal.userId };
  await node.audit.during(caller, async () =>
    node.audit.wrote(caller, `signed in by ${by}`, session.id.slice(0, 12)),
  );
  return { to: next === '' ? (isOperator(principal) ? '/admin' : '/') : next };
}

async function signedOut({ c, node, session }: View, everywhere: boolean): Promise<Done> {
  // Also when the node cannot keep that the session has ended.
  clearSession(c, node);
  c.set('session', undefined);
  if (session !== undefined) {
    const sessions = await node.sessions();
    const { id } = session.principal;
    const all = sessions.list().filter(({ principal }) => principal === id);
    await sessions.end(everywhere ? all.map((each) => each.id) : [session.id]);
  }
  return { to: '/' };
}

export function signInRoutes(node: ApiContext, trends: TrendReports) {
  return pageRoutes(node, trends, [signInPage, linkPage], signingIn(node));
}
