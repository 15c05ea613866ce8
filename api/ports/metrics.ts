import type { Visibility } from './registration.ts';
import type { SseWatch } from '../sse.ts';

/** Where the API counts, and what `GET /metrics` answers. None of it may throw into a request, but `text`. */
export interface MetricsPort {
  /** A request was answered. `route` is its pattern, never its path; `seconds` to the begin of the answer. */
  answered(route: string, method: string, status: number, seconds: number): void;
  /** A request was refused with this code. */
  refused(code: string): void;
  readonly streams: SseWatch;
  /**
   * What the caller may see, in the text format of `contentType`: figures that depend on private channels only for those with full
   * access.
   */
  text(sees: Visibility): Promise<string>;
  readonly contentType: string;
}
