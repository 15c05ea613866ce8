/** Sides of a trade, as LBTAS (P3-014) names them: a reputation is kept apart for each. */
export const TRADE_ROLES = ['market_seller', 'market_buyer'] as const;
export type TradeRole = (typeof TRADE_ROLES)[number];

/** The side of a party in a contract of this supplier. */
export function roleOf(party: string, { supplier }: { readonly supplier: string }): TradeRole {
  return party === supplier ? 'market_seller' : 'market_buyer';
}

export function isTradeRole(value: unknown): value is TradeRole {
  return TRADE_ROLES.some((role) => role === value);
}
