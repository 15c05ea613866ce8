import { expect, it } from 'vitest';
import { faketimeLacking } from '../support/faketime.ts';
import { documentText, section } from '../support/tables.ts';
import { playStory } from './story.ts';

const lacking = faketimeLacking();

it.skipIf(lacking !== undefined)(
  `the story of a market in api/README.md is what three nodes ask and answer${lacking === undefined ? '' : ` (${lacking})`}`,
  { timeout: 300_000 },
  async () => {
    expect(section(documentText('api/README.md'), 'story')).toBe(await playStory());
  },
);
