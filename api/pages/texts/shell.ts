/** Texts that every page has. */
export const SHELL = {
  'shell.skip': { en: 'Skip to content', sw: 'Ruka hadi yaliyomo' },
  'shell.navigation': { en: 'Main navigation', sw: 'Urambazaji mkuu' },
  'shell.administration': { en: 'Administration', sw: 'Usimamizi' },
  'shell.market': { en: 'Market', sw: 'Soko' },
  'shell.status': { en: 'Status', sw: 'Hali' },
  'shell.sign-in': { en: 'Sign in', sw: 'Ingia' },
  'shell.sign-out': { en: 'Sign out', sw: 'Toka' },
  'shell.signed-in': { en: 'Signed in as {name}', sw: 'Umeingia kama {name}' },
  'shell.operator': { en: 'operator', sw: 'msimamizi' },
  'shell.region': { en: 'Region {region}', sw: 'Eneo {region}' },
  'shell.api': { en: 'API', sw: 'API' },
  'error.title': { en: 'That did not work', sw: 'Haikufanikiwa' },
  'error.request': { en: 'Request {id}', sw: 'Ombi {id}' },
  'error.back': { en: 'Back to the start page', sw: 'Rudi mwanzo' },
  'error.missing': {
    en: 'There is no such page. It may have moved, or what it showed has ended.',
    sw: 'Ukurasa huu haupo. Huenda umehamishwa, au kilichokuwa kikionyeshwa kimekwisha.',
  },
} as const;
