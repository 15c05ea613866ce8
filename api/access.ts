import { createMiddleware } from 'hono/factory';
import { AgrinetError } from '../protocols/errors.ts';
import type { Caller } from './ports/audit.ts';
import type { Session } from './ports/sessions.ts';
import type { Visibility } from './ports/registration.ts';
import type { RegistrationKey } from '../protocols/registry/registration-key.ts';

/**
 * Scopes of keys and tokens. `read`: public records; `write`: act for its own user; `register`: register a node here; `worker`: run
 * the daemon's jobs in another process; `operator`: everything.
 */
export const SCOPES = ['read', 'write', 'register', 'worker', 'operator'] as const;
export type Scope = (typeof SCOPES)[number];

/** The caller of a request. Without credentials: id `anonymous`, scope `read` unless PUBLIC_READS=off. */
export interface Principal {
  /** `anonymous`, the id of a key, or `token:<subject>`: for limits and the audit log. */
  readonly id: string;
  /** The user it acts for; only an operator has none. */
  readonly userId?: string;
  /** The key for registering nodes; absent for a token, which counts as one key for one node. */
  readonly registration?: RegistrationKey;
  readonly scopes: ReadonlySet<Scope>;
}

/** Who may call a route: everybody, any key or token (`known`), or holders of a scope (an operator holds all). */
export type RouteAccess = 'open' | 'known' | Scope;

/** What the API-wide middleware has set before a route runs. */
export interface ApiEnv {
  Variables: { principal: Principal; requestId: string; caller?: Caller; session?: Session | undefined };
}

/** Whether a caller may use a route of this access. */
export function mayCall(principal: Principal, access: RouteAccess): boolean {
  if (access === 'open') return true;
  if (access === 'known') return principal.id !== 'anonymous';
  return principal.scopes.has(access) || principal.scopes.has('operator');
}

/** The key that a node registers with; undefined for the operator's hand. */
export function registrationKey(principal: Principal): RegistrationKey | undefined {
  if (isOperator(principal)) return undefined;
  return principal.registration ?? { id: principal.id, uses: 1 };
}

export function isOperator(principal: Principal): boolean {
  return principal.scopes.has('operator');
}

/** How much a caller may see: the operator everything, everybody else what is public. */
export function visibilityOf(principal: Principal): Visibility {
  return isOperator(principal) ? 'whole' : 'public';
}

/** Refuses callers without access to a route: `unauthorized` without credentials, `forbidden` with too few scopes. */
export function guard(access: RouteAccess) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    const principal = c.get('principal');
    if (!mayCall(principal, access)) {
      throw principal.id === 'anonymous'
        ? new AgrinetError('unauthorized', 'Unauthorized: Invalid API Key')
        : new AgrinetError(
            'forbidden',
            `Unauthorized: this requires a key with the scope ${access}; the operator can issue one with: agrinet keys issue`,
          );
    }
    const caller = c.get('caller');
    if (caller !== undefined && !isOperator(principal) && access !== 'open' && access !== 'known')
      caller.scope = access;
    await next();
  });
}

/**
 * The user a write is for: a key or token acts only for its own. Throws `forbidden` when the body names another; an operator may name anybody.
 */
export function actingUser(principal: Principal, named: string | undefined): string | undefined {
  if (isOperator(principal)) return named ?? principal.userId;
  if (named !== undefined && named !== principal.userId)
    throw new AgrinetError('forbidden', `this key acts for ${principal.userId ?? 'nobody'} only`);
  return principal.userId;
}
