import { mayCall, type Principal, type RouteAccess } from '../access.ts';
import type { TextName } from './texts.ts';

/** A page that others lead to. */
export interface Destination {
  readonly path: string;
  readonly text: TextName;
  /** Shown to whoever may open it. */
  readonly access: RouteAccess;
}

/** At the top of every page. */
export const TOP: readonly Destination[] = [
  { path: '/', text: 'shell.market', access: 'read' },
  { path: '/admin', text: 'shell.administration', access: 'operator' },
  { path: '/status-page', text: 'shell.status', access: 'read' },
];

/** Below it, on the operator's pages. */
export const ADMINISTRATION: readonly Destination[] = [
  { path: '/admin', text: 'admin.title', access: 'operator' },
  { path: '/admin/federation', text: 'federation.title', access: 'operator' },
  { path: '/admin/keys', text: 'keys.title', access: 'operator' },
];

/** Those that somebody may open. */
export function openTo(principal: Principal, destinations: readonly Destination[]): readonly Destination[] {
  return destinations.filter(({ access }) => mayCall(principal, access));
}
