/** Limits of SMS: time, requests and money. */
export const SMS_LIMITS = {
  /** SMS messages sent, or looked up, at the same time. */
  atOnce: 4,
  /** One request to Twilio. */
  requestMs: 15_000,
  /** Twilio lists a message this long after it was sent, or never: only then is one that is missing from the list sent again. */
  absentMs: 45_000,
  /** How long the node keeps asking whether Twilio has a message, when it gets no answer; after that nobody knows. */
  askMs: 3_600_000,
  /** A notice that could not be sent within this time is out of date. */
  staleMs: 86_400_000,
  /** The day of the daily limits: it begins with the first SMS to a user, and nobody's midnight doubles what fits into a night. */
  dayMs: 86_400_000,
  /** How long after a notice that gets no SMS the summary is sent: most of a flood is in its count by then, and a proposal can still be answered. */
  summaryMs: 3_600_000,
  /** How long until the next attempt; doubled each time. */
  firstMs: 10_000,
  /** The longest of these waits: an outage of hours costs few requests, and its end is noticed soon. */
  longestMs: 600_000,
  /** How long nothing is sent after Twilio has refused the credentials. */
  deniedMs: 600_000,
  /** Pages of one number's messages that are searched, a hundred messages each. */
  pages: 10,
} as const;
