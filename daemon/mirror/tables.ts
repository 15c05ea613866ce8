import type { TableSpec } from '../../storage/mirror/types.ts';

/** The tables of the old back end that are mirrored, with the keys it made them with, and two of our own: Prices and Trends. */
export const TABLES = [
  { name: 'Listings', key: ['id'] },
  { name: 'Contracts', key: ['id'] },
  { name: 'Transactions', key: ['id'] },
  { name: 'TransactionLogs', key: ['transactionId', 'timestamp'] },
  { name: 'NodeRegistry', key: ['url'] },
  { name: 'Notifications', key: ['userId', 'notificationId'] },
  { name: 'Keys', key: ['id'] },
  { name: 'Conversations', key: ['id'] },
  { name: 'Messages', key: ['conversationId', 'id'] },
  { name: 'Prices', key: ['id'] },
  { name: 'Trends', key: ['id'] },
] as const satisfies readonly TableSpec[];

export type TableName = (typeof TABLES)[number]['name'];
