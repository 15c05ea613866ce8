/** What a contract needs beside its parties and its quantity before it can be proposed. */
export const DEAL = { title: 'Maize', unit: 'kg', price: 50, currency: 'KES' } as const;

/** Complete terms of so much. */
export const deal = (quantity: number) => ({ ...DEAL, quantity });
