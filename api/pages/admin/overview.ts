import type { ApiContext } from '../../context.ts';
import type { TrendReports } from '../../trend-reports.ts';
import { type Page, pageRoutes } from '../page.ts';
import { statusOf } from '../status.ts';

/** What needs the operator, and how the node does. */
const overview: Page = {
  access: 'operator',
  path: '/admin',
  show: async ({ t, node, trends }) => ({
    title: t('admin.title'),
    body: await statusOf(node, trends, 'whole'),
  }),
};

export function adminRoutes(node: ApiContext, trends: TrendReports) {
  return pageRoutes(node, trends, [overview]);
}
