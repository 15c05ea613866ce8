/** Where SMS are sent, and as whom. */
export interface TwilioAccount {
  readonly accountSid: string;
  readonly authToken: string;
  /** The number that SMS come from. */
  readonly from: string;
  /** Where its API is. */
  readonly url: string;
}
