export const HOME = {
  'home.title': { en: 'Market', sw: 'Soko' },
  'home.search': { en: 'Search listings', sw: 'Tafuta matangazo' },
  'home.search.button': { en: 'Search', sw: 'Tafuta' },
  'home.newest': { en: 'Newest listings', sw: 'Matangazo mapya' },
  'home.found': { en: 'Listings for “{words}”', sw: 'Matangazo ya “{words}”' },
  'home.none': { en: 'There are no listings yet.', sw: 'Hakuna matangazo bado.' },
  'home.none-found': {
    en: 'Nothing found. Try fewer or other words.',
    sw: 'Hakuna kilichopatikana. Jaribu maneno machache au mengine.',
  },
  'home.more': { en: 'Older listings', sw: 'Matangazo ya zamani' },
  'home.behind': {
    en: 'The newest listings are not searchable yet; search again in a few seconds.',
    sw: 'Matangazo mapya kabisa bado hayatafutiki; tafuta tena baada ya sekunde chache.',
  },
} as const;
