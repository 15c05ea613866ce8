import { z } from '@hono/zod-openapi';
import type { JSONValue } from 'hono/utils/types';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { jsonOf } from './json-text.ts';
import { JsonValue, number, text } from './schemas.ts';

const list = z.array(JsonValue);
/** The nested parts of the Agrinet node template. */
export const profileParts = {
  production: z.object({ capabilities: list }).openapi('NodeProduction'),
  services: z
    .object({
      educational: list,
      socialMedia: list,
      extension: list,
      financial: z.object({ marketListings: list, grants: list }).openapi('NodeFinancialServices'),
      marketing: z.object({ onNetwork: list, socialMediaSyndication: list }).openapi('NodeMarketingServices'),
      messaging: z.object({ enabled: z.boolean(), levesonRatings: list }).openapi('NodeMessagingServices'),
    })
    .openapi('NodeServices'),
  reputation: z
    .object({
      leveson: number(
        'Whole percent of the node’s publicly rated contracts without a breach, as this node sees it; 0 without one.',
      ),
    })
    .openapi('NodeReputation'),
  interoperability: list,
  support: z
    .object({
      compostingGrazing: list,
      environmentalServices: list,
      labor: list,
      collectiveManagement: list,
    })
    .openapi('NodeSupport'),
};
/** A profile in the Agrinet node template. */
export const Profile = z
  .object({
    nodeId: text('Peer ID.'),
    name: text('Name.').optional(),
    region: text('Region.').optional(),
    url: text('URL.').optional(),
    schemaVersion: number('Version of the profile’s schema.').optional(),
    ...profileParts,
  })
  .openapi('NodeProfile');
type Raw = Readonly<Record<string, unknown>>;
const items: Raw = { type: 'array', items: { $ref: '#/components/schemas/JsonValue' } };
const parts = (properties: Readonly<Record<string, Raw>>): Raw => ({
  type: 'object',
  properties,
  additionalProperties: false,
});
const textOrNull = (maxLength: number): Raw => ({ type: ['string', 'null'], maxLength });
/** The same for writing: the fields to change. */
export const ProfileUpdate = z.record(z.string().max(256), z.unknown()).openapi('NodeProfileUpdate', {
  ...parts({
    name: textOrNull(256),
    region: textOrNull(256),
    url: textOrNull(512),
    production: parts({ capabilities: items }),
    services: parts({
      educational: items,
      socialMedia: items,
      extension: items,
      financial: parts({ marketListings: items, grants: items }),
      marketing: parts({ onNetwork: items, socialMediaSyndication: items }),
      messaging: parts({ enabled: { type: 'boolean' }, levesonRatings: items }),
    }),
    interoperability: items,
    support: parts({
      compostingGrazing: items,
      environmentalServices: items,
      labor: items,
      collectiveManagement: items,
    }),
  }),
});

/**
 * A profile in the nested form of the Agrinet node template, with its defaults where a field is not set. Neither whose profile it is nor its
 * reputation is taken from what it says.
 */
export function nodeTemplate(nodeId: string, view: RecordState['view'] = {}): z.output<typeof Profile> {
  const { name, region, url, schemaVersion } = view;
  const list = (field: string): JSONValue[] => listOf(view[field]);
  return {
    nodeId,
    ...(typeof name === 'string' ? { name } : {}),
    ...(typeof region === 'string' ? { region } : {}),
    ...(typeof url === 'string' ? { url } : {}),
    ...(typeof schemaVersion === 'number' ? { schemaVersion } : {}),
    production: { capabilities: list('production.capabilities') },
    services: {
      educational: list('services.educational'),
      socialMedia: list('services.socialMedia'),
      extension: list('services.extension'),
      financial: {
        marketListings: list('services.financial.marketListings'),
        grants: list('services.financial.grants'),
      },
      marketing: {
        onNetwork: list('services.marketing.onNetwork'),
        socialMediaSyndication: list('services.marketing.socialMediaSyndication'),
      },
      messaging: {
        enabled: view['services.messaging.enabled'] === true,
        levesonRatings: list('services.messaging.levesonRatings'),
      },
    },
    reputation: { leveson: 0 },
    interoperability: list('interoperability'),
    support: {
      compostingGrazing: list('support.compostingGrazing'),
      environmentalServices: list('support.environmentalServices'),
      labor: list('support.labor'),
      collectiveManagement: list('support.collectiveManagement'),
    },
  };
}

function listOf(value: unknown): JSONValue[] {
  if (typeof value !== 'string') return [];
  const list = jsonOf(value);
  return Array.isArray(list) ? list : [value];
}

/** The nested template flattened to the fields of the `nodes` collection; unknown ones stay and are refused by name. */
export function profileFields(body: Readonly<Record<string, unknown>>, prefix = ''): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(body)) {
    const path = prefix + name;
    if (path === 'nodeId') continue;
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      Object.assign(fields, profileFields(value as Record<string, unknown>, `${path}.`));
    else fields[path] = value;
  }
  return fields;
}
