import { expect, it } from 'vitest';
import { documentText, section } from '../support/tables.ts';
import { playStory } from './story.ts';

it(
  'the story of a market in api/README.md is what three nodes ask and answer',
  { timeout: 300_000 },
  async () => {
    expect(section(documentText('api/README.md'), 'story')).toBe(await playStory());
  },
);
