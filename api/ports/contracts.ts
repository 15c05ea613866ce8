import type {
  Actor,
  Body,
  ContractBook,
  ContractView,
  StepRequest,
} from '../../protocols/market/contract-book/types.ts';

export type { Actor, Body, ContractView, StepRequest };

/**
 * Contracts for this node's users and its operator. Refusals have the codes of the contract state machine: `contract-state`,
 * `accept-own`, `proposal-unknown`, `proposal-expired`, `terms-changed`, `stock-short` … (409), `not-a-party` (403).
 */
export type ContractsPort = Pick<
  ContractBook,
  'create' | 'get' | 'list' | 'dealNote' | 'patch' | 'step' | 'ping'
>;
