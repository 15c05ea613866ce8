export const ATTENTION = {
  'attention.title': { en: 'Needs attention', sw: 'Inahitaji kushughulikiwa' },
  'attention.none': {
    en: 'Nothing needs your attention.',
    sw: 'Hakuna kinachohitaji kushughulikiwa.',
  },
  'attention.good-to-know': { en: 'Good to know', sw: 'Ya kujua' },
  'attention.error': { en: 'Error', sw: 'Hitilafu' },
  'attention.warning': { en: 'Warning', sw: 'Onyo' },
  'attention.info': { en: 'Note', sw: 'Taarifa' },
  'attention.remedy': { en: 'What helps:', sw: 'Kinachosaidia:' },
  'attention.unchecked': {
    en: 'These checks could not run now: {checks}.',
    sw: 'Ukaguzi huu haukuweza kufanyika sasa: {checks}.',
  },
  'attention.retry': { en: 'Retry the dead jobs', sw: 'Jaribu tena kazi zilizokufa' },
  'attention.retry.done': { en: 'Jobs that wait again: {count}.', sw: 'Kazi zinazosubiri tena: {count}.' },
  'attention.sync': { en: 'Sync now', sw: 'Landanisha sasa' },
  'attention.sync.done': {
    en: 'A sync with every node is queued.',
    sw: 'Ulandanishi na kila nodi umepangwa.',
  },
  'attention.sync.soon': {
    en: 'A sync was queued less than a minute ago.',
    sw: 'Ulandanishi ulipangwa chini ya dakika moja iliyopita.',
  },
  'attention.clear': { en: 'Clear all alarms', sw: 'Futa tahadhari zote' },
  'attention.clear.done': {
    en: 'Alarms cleared: {count}. An alarm returns while its cause persists.',
    sw: 'Tahadhari zilizofutwa: {count}. Tahadhari hurudi ikiwa chanzo chake bado kipo.',
  },
} as const;
