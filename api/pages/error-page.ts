import { html } from 'hono/html';
import type { Context } from 'hono';
import type { ApiEnv } from '../access.ts';
import type { ApiContext } from '../context.ts';
import type { ErrorAnswer } from '../errors.ts';
import { answerWith } from './shell.ts';
import { viewOf } from './view.ts';

/** A refusal as a page: one line that says what to do. */
export async function errorPage(
  c: Context<ApiEnv>,
  node: ApiContext,
  { status, body }: ErrorAnswer,
): Promise<Response> {
  const view = viewOf(c, node, (query) => node.trends.report(query));
  const { t } = view;
  const text = body.code === 'not-found' ? t('error.missing') : body.message;
  const page = await answerWith(view, {
    title: t('error.title'),
    body: html`<p class="notice bad" role="alert">${text}</p>
      <p class="muted"><code>${body.code}</code> · ${t('error.request', { id: c.get('requestId') })}</p>
      <p><a href="/">${t('error.back')}</a></p>`,
  });
  return new Response(page.body, { status, headers: page.headers });
}
