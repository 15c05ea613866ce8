import { AgrinetError } from '../../protocols/errors.ts';
import type { SmsPort } from '../ports/sms.ts';
import { isDecodable } from '../query.ts';
import { media, rawForm, route, router } from '../route.ts';

/** Of one message: Twilio sends some twenty, and three for each picture. Whoever posts is known only after all were put in order. */
const MOST_PARAMETERS = 256;

const incoming = route('open', {
  operationId: 'receiveSms',
  method: 'post',
  path: '/incoming',
  tags: ['Notifications'],
  summary: 'Receive an SMS from Twilio: `YES 123456` accepts a proposal, `NO 123456` refuses it',
  description:
    'For Twilio alone, which signs its requests (`X-Twilio-Signature`, checked over `PUBLIC_URL` and the form). The six digits are those of the SMS that told of the proposal. Each message is taken once, by its `MessageSid`.',
  request: {
    body: rawForm('The message as Twilio posts it.', {
      MessageSid: 'ID of the message.',
      From: 'Phone number that it came from.',
      Body: 'Text.',
    }),
  },
  responses: { 200: media('TwiML: the reply, if there is one.', 'text/xml') },
  codes: ['request-unsigned', 'sms-off', 'sms-replayed', 'fields-invalid', 'busy'],
});

export function smsRoutes({ sms }: { readonly sms: SmsPort }) {
  return router().openapi(incoming, async (c) => {
    const { pathname, search } = new URL(c.req.url);
    const text = await c.req.text();
    if (text.split('&', MOST_PARAMETERS + 1).length > MOST_PARAMETERS)
      throw new AgrinetError('body-malformed', `the form has more than ${MOST_PARAMETERS} parameters`);
    if (!isDecodable(text)) throw new AgrinetError('body-malformed', 'the form is not percent-encoded UTF-8');
    const form = new URLSearchParams(text);
    const signature = c.req.header('x-twilio-signature') ?? '';
    const answer = await sms.incoming({ form, path: pathname + search, signature });
    return c.body(answer, 200, { 'content-type': 'text/xml; charset=utf-8' });
  });
}
