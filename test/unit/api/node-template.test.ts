import { expect, it } from 'vitest';
import { nodeTemplate, Profile, profileFields } from '../../../api/node-template.ts';
import { COLLECTIONS } from '../../../protocols/open-dialog/schema.ts';

const { nodes } = COLLECTIONS;
const OTHER = 'somebody-else';
/** A profile with every field, each a text where it may be one. */
const full = Object.fromEntries(
  Object.entries(nodes?.fields ?? {}).map(([field, { type }]) => [
    field,
    type === 'boolean' ? true : type === 'number' ? 7 : field === 'nodeId' ? OTHER : `of ${field}`,
  ]),
);

it('has every field of a profile in its place, but for whose it is and its reputation', () => {
  const template = nodeTemplate('this-one', full);
  expect(Profile.parse(template)).toEqual(template);
  expect(template).toMatchObject({ nodeId: 'this-one', reputation: { leveson: 0 } });
  const { nodeId, 'reputation.leveson': leveson, ...rest } = full;
  expect([nodeId, leveson]).toEqual([OTHER, 7]);
  const flat = profileFields(template);
  delete flat['reputation.leveson'];
  const asList = (field: string, value: unknown): unknown => (Array.isArray(flat[field]) ? [value] : value);
  expect(flat).toEqual(
    Object.fromEntries(Object.entries(rest).map(([field, value]) => [field, asList(field, value)])),
  );
});

it('is the empty template without a profile', () => {
  const template = nodeTemplate('this-one', undefined);
  expect(Profile.parse(template)).toEqual(template);
  expect(template.services.messaging).toEqual({ enabled: false, levesonRatings: [] });
});
