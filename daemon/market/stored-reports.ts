import type { Database } from '../../storage/database.ts';
import { fullKey } from '../../storage/keyspace.ts';
import { putJson, verifiedJson } from '../../storage/values.ts';
import type { StoredReports, TrendReportsParts } from './trend-reports.ts';

/** The last reports of trends: computed again when they are missing. */
export const REPORTS_KEY = fullKey('meta', 'trend reports');

/** Reports of trends as stored in the database; `onFailure` is called with the error when that fails. */
export function storedReports(
  db: Pick<Database, 'level' | 'batch'>,
  onFailure: (error: unknown) => void,
): TrendReportsParts['stored'] {
  return {
    async read() {
      try {
        const value = await db.level.get(REPORTS_KEY);
        return value === undefined ? [] : verifiedJson<StoredReports>(REPORTS_KEY, value);
      } catch (error) {
        onFailure(error);
        return [];
      }
    },
    async write(reports) {
      try {
        await db.batch([putJson(REPORTS_KEY, reports)], false);
      } catch (error) {
        onFailure(error);
      }
    },
  };
}
