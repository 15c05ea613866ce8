import { AgrinetError } from '../protocols/errors.ts';
import type { ReportQuery, TrendsPort } from './ports/trends.ts';

export type TrendReports = TrendsPort['report'];

/** Periods back at most. */
const MOST = { week: 104, month: 24 } as const;

/**
 * `3`: so many periods back, weeks or months as the data have them. `2w`: weeks. `3m`: months, weekly data taken by month. `1y`: 12
 * months. Throws `query-invalid`.
 */
export function windowOf(text: string): Pick<ReportQuery, 'back' | 'per'> {
  const [, digits = '', unit = ''] = /^(\d{1,3})([wmy]?)$/.exec(text.trim().toLowerCase()) ?? [];
  const count = Number(digits) * (unit === 'y' ? 12 : 1);
  const per = unit === '' ? undefined : unit === 'w' ? 'week' : 'month';
  if (digits === '' || count < 1 || count > MOST[per ?? 'month'])
    throw new AgrinetError(
      'query-invalid',
      `window: must be 1 to ${MOST.month} periods, or a number of weeks (2w, up to ${MOST.week}w), months (3m, up to ${MOST.month}m) or years (1y, 2y)`,
    );
  return { back: count, per };
}
