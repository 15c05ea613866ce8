import { html } from 'hono/html';
import type { ApiContext } from '../../context.ts';
import type { TrendReports } from '../../trend-reports.ts';
import { type Page, pageRoutes } from '../page.ts';
import { statusOf } from '../status.ts';
import { ATTENTION_ACTIONS, attention } from './attention.ts';

/** What needs the operator, and how the node does. */
const overview: Page = {
  access: 'operator',
  path: '/admin',
  async show(view) {
    const { t, node, trends } = view;
    const [report, status] = await Promise.all([node.doctor.examine(), statusOf(node, trends, 'whole')]);
    return { title: t('admin.title'), body: html`${attention(view, report)} ${status}` };
  },
};

export function adminRoutes(node: ApiContext, trends: TrendReports) {
  return pageRoutes(node, trends, [overview], ATTENTION_ACTIONS);
}
