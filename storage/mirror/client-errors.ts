import type { ErrorCode } from '../../protocols/error-codes.ts';
import { AgrinetError, errorMessage } from '../../protocols/errors.ts';

/** Whether a conditional request was done; false when its condition failed. Throws as `fail` does. */
export async function holds(request: Promise<unknown>): Promise<boolean> {
  try {
    await request;
    return true;
  } catch (error) {
    if (nameOfError(error) === 'ConditionalCheckFailedException') return false;
    return fail(error);
  }
}

/** The name that AWS gave an error. */
export function nameOfError(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

const REFUSED = new Set([
  'ValidationException',
  'SerializationException',
  'ItemCollectionSizeLimitExceededException',
]);
const THROTTLED = new Set([
  'ProvisionedThroughputExceededException',
  'ThrottlingException',
  'RequestLimitExceeded',
  'LimitExceededException',
]);
const DENIED = new Set([
  'AccessDeniedException',
  'UnrecognizedClientException',
  'InvalidSignatureException',
  'IncompleteSignatureException',
  'MissingAuthenticationTokenException',
  'MissingAuthenticationToken',
  'ExpiredTokenException',
  'ExpiredToken',
  'InvalidClientTokenId',
  'CredentialsProviderError',
  'TokenProviderError',
]);

/** How the SDK names that a deadline has ended a request. */
const ENDED = new Set(['AbortError', 'TimeoutError']);

/** Throws an error of the SDK as the mirror knows it. Its message may name an account or a host, never a secret. */
export function fail(error: unknown): never {
  if (error instanceof AgrinetError) throw error;
  const name = nameOfError(error);
  const named = `${name === 'Error' ? '' : `${name}: `}${errorMessage(error)}`.slice(0, 300);
  const text = ENDED.has(name) ? 'DynamoDB did not answer in time' : named;
  const failed = (code: ErrorCode): AgrinetError => new AgrinetError(code, text, { cause: error });
  if (name === 'ResourceNotFoundException') throw failed('mirror-table-missing');
  if (REFUSED.has(name)) throw failed('mirror-item-refused');
  if (THROTTLED.has(name)) throw failed('mirror-throttled');
  if (DENIED.has(name)) throw failed('mirror-denied');
  throw failed('mirror-away');
}
