import { AgrinetError } from '../errors.ts';

/** `pending`: waits for the operator; `active`: replicated with; `suspended`: temporarily; `revoked`: until approved again. */
export const NODE_STATUSES = ['pending', 'active', 'suspended', 'revoked'] as const;
export type NodeStatus = (typeof NODE_STATUSES)[number];
/** The operator's actions on a node. */
export type NodeAction = 'approve' | 'suspend' | 'resume' | 'revoke';

const STEPS: Readonly<Record<NodeAction, { to: NodeStatus; from: readonly NodeStatus[] }>> = {
  approve: { to: 'active', from: ['pending', 'revoked'] },
  suspend: { to: 'suspended', from: ['active', 'pending'] },
  resume: { to: 'active', from: ['suspended'] },
  revoke: { to: 'revoked', from: ['pending', 'active', 'suspended'] },
};

/** The status after an action; repeating one is not an error. Throws `node-state` for an impossible one. */
export function changedStatus(status: NodeStatus, action: NodeAction): NodeStatus {
  const { to, from } = STEPS[action];
  if (status === to || from.includes(status)) return to;
  const instead = status === 'suspended' ? 'resume' : 'approve';
  throw new AgrinetError('node-state', `this node is ${status}; make it active again with: ${instead}`);
}
