/** A message as Twilio posts it. */
export interface SmsRequest {
  readonly form: URLSearchParams;
  /** Path and query as received. */
  readonly path: string;
  /** `X-Twilio-Signature`; empty without one. */
  readonly signature: string;
}

/** SMS that come in. */
export interface SmsPort {
  /** The TwiML that answers it. Throws `sms-off`, `request-unsigned`, `sms-replayed`, `fields-invalid`. */
  incoming(request: SmsRequest): Promise<string>;
}
