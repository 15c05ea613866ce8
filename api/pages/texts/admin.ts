export const ADMIN = {
  'admin.title': { en: 'Overview', sw: 'Muhtasari' },
  'admin.navigation': { en: 'Administration', sw: 'Usimamizi' },
} as const;
