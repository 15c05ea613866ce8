import type { ErrorCode } from './error-codes.ts';

/**
 * Thrown by every layer: `code` is stable and has a row in error-codes.ts, the message is for people, `details` never holds a
 * secret.
 */
export class AgrinetError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; details?: Record<string, unknown> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AgrinetError';
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** The code of any thrown value; anything not from this project is `internal`. */
export function errorCode(error: unknown): ErrorCode {
  return error instanceof AgrinetError ? error.code : 'internal';
}

/** The code that the system, or a library, gives an error: `ENOENT`; '' where there is none. */
export function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** The message of any thrown value, on one line, for logs and the CLI; never sent to a peer. */
export function errorMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s+/g, ' ');
}
