export const SIGN_IN = {
  'sign-in.title': { en: 'Sign in', sw: 'Ingia' },
  'sign-in.key': { en: 'API key', sw: 'Ufunguo wa API' },
  'sign-in.key.hint': {
    en: 'The administrator of your node issues keys. On the server itself, “agrinet open” prints a link that signs you in.',
    sw: 'Msimamizi wa nodi yako hutoa funguo. Kwenye seva yenyewe, “agrinet open” huonyesha kiungo cha kuingia.',
  },
  'sign-in.insecure': {
    en: 'This connection is not encrypted, so signing in works only on the computer that the node runs on. From elsewhere, use the HTTPS address of the node.',
    sw: 'Muunganisho huu haujasimbwa, kwa hiyo unaweza kuingia kwenye kompyuta ya nodi pekee. Kutoka kwingine, tumia anwani ya HTTPS ya nodi.',
  },
  'sign-in.wrong': {
    en: 'This key is not valid: it is mistyped, has expired or was revoked. Check it, or ask for a new one.',
    sw: 'Ufunguo huu si sahihi: umekosewa, umeisha muda au umebatilishwa. Uangalie tena, au omba mwingine.',
  },
  'sign-in.done': { en: 'You are signed in.', sw: 'Umeingia.' },
  'sign-in.link.title': { en: 'Sign in with this link', sw: 'Ingia kwa kiungo hiki' },
  'sign-in.link.once': {
    en: 'The link works once. It signs this browser in as the operator of the node.',
    sw: 'Kiungo hufanya kazi mara moja. Kinaingiza kivinjari hiki kama msimamizi wa nodi.',
  },
} as const;
