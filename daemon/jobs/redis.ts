/** The name that operators look for in BullMQ's tools. */
export const QUEUE_NAME = 'federationQueue';

/** How BullMQ connects: it tries again for ever, at most every 2 s, and never gives a command up by itself. */
export function redisConnection(url: string): {
  url: string;
  maxRetriesPerRequest: null;
  connectTimeout: number;
  retryStrategy: (times: number) => number;
} {
  return {
    url,
    maxRetriesPerRequest: null,
    connectTimeout: 3000,
    retryStrategy: (times) => Math.min(2000, 50 * 2 ** Math.min(times, 6)),
  };
}
