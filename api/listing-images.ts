import { attachmentsOf } from '../protocols/market/attachment.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { parsedJson } from '../protocols/wire/json.ts';
import type { Principal } from './access.ts';
import { namedItems } from './attachment-inputs.ts';
import type { ApiContext } from './context.ts';
import { callerOf } from './conversation-json.ts';

type Fields = Readonly<Record<string, unknown>>;
type ImagesNode = Pick<ApiContext, 'attachments' | 'limits'>;

const OWN_URL = /^\/attachments\/listings\/[^/]+\/([0-9a-f]{64})$/;

/** The fields of a listing with its uploaded pictures named in `images`. Without any, `current` is not read. Throws `fields-invalid`. */
export async function withImages<F extends Fields>(
  node: ImagesNode,
  fields: F,
  principal: Principal,
  current: () => Promise<RecordState | undefined>,
): Promise<F> {
  const list = listIn(fields['images']);
  if (list === undefined) return fields;
  const known = await current();
  const base = (node.limits.publicUrl ?? '').replace(/\/+$/, '');
  const hashOf = (url: string): string | undefined =>
    OWN_URL.exec(base !== '' && url.startsWith(base) ? url.slice(base.length) : url)?.[1];
  const images = await namedItems(
    {
      attachments: node.attachments,
      caller: callerOf(principal),
      field: 'images',
      known: known === undefined ? [] : attachmentsOf(known),
      hashOf,
    },
    list,
  );
  return { ...fields, images };
}

/** A list, or a text that is one in JSON: what is kept is the same, so what it names is looked at alike. */
function listIn(images: unknown): readonly unknown[] | undefined {
  if (Array.isArray(images)) return images;
  if (typeof images !== 'string' || !images.trimStart().startsWith('[')) return undefined;
  const list = parsedJson(images);
  return Array.isArray(list) ? list : undefined;
}
