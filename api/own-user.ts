import { AgrinetError } from '../protocols/errors.ts';
import { actingUser, isOperator, type Principal } from './access.ts';
import { OPERATOR_USER } from './ports/jobs.ts';

/** Whose notifications or wants are asked for; a key acts for its own user only. Throws `forbidden`. */
export function ownUser(principal: Principal, named: string | undefined): string {
  const user = actingUser(principal, named) ?? (isOperator(principal) ? OPERATOR_USER : undefined);
  if (user === undefined) throw new AgrinetError('forbidden', 'this key belongs to no user');
  // A user may have any name, at an issuer of tokens too; one with the operator's name does not get the operator's records.
  if (user === OPERATOR_USER && !isOperator(principal))
    throw new AgrinetError('forbidden', 'only an operator key can ask for what is the operator’s');
  return user;
}
