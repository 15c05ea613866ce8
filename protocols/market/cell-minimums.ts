/* What has to stand behind a price that a node publishes of its users' trades and offers. In a file of its own: settings read it too. */

/** Trades, or listings, behind a cell: never fewer, whatever is set. */
export const LEAST_TRADES = 5;
/** Distinct pairs of parties, or sellers, behind a cell: never fewer, whatever is set. */
export const LEAST_PAIRS = 3;
