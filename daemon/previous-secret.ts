import { AgrinetError } from '../protocols/errors.ts';
import type { Settings } from './settings.ts';

/** A secret that was replaced, and until when it is still good, milliseconds since 1970. */
export interface PreviousSecret {
  readonly secret: string;
  readonly until: number;
}

/** The settings that it is read from. */
export type PreviousSettings = Partial<
  Pick<Settings, 'jwtSecretPrevious' | 'federationWebhookSecretPrevious' | 'previousSecretsUntil'>
>;

const NAMES = {
  jwtSecretPrevious: 'JWT_SECRET_PREVIOUS',
  federationWebhookSecretPrevious: 'FEDERATION_WEBHOOK_SECRET_PREVIOUS',
} as const;

/**
 * The secret before the one that is set, with the end of its grace time; undefined without one. Throws `settings-invalid` for one without an
 * end: it would be good for ever, as whoever stole it expects.
 */
export function previousSecret(
  settings: PreviousSettings,
  which: keyof typeof NAMES,
): PreviousSecret | undefined {
  return withEnd(settings[which], NAMES[which], settings.previousSecretsUntil);
}

/** The same of a secret that stands elsewhere, by its name. */
export function withEnd(
  secret: string | undefined,
  name: string,
  until: number | undefined,
): PreviousSecret | undefined {
  if (secret === undefined) return undefined;
  if (until !== undefined) return { secret, until };
  throw new AgrinetError(
    'settings-invalid',
    `PREVIOUS_SECRETS_UNTIL: not set, so ${name} would be accepted for ever. Set it to the end of the grace time, for example 2026-12-31T00:00Z.`,
  );
}
