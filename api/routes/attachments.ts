import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { ATTACHMENT_LIMITS, attachmentName, attachmentsOf } from '../../protocols/market/attachment.ts';
import { attachmentType } from '../../protocols/market/attachment-type.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import { publicIdOf } from '../../protocols/wire/ids.ts';
import { mayCall, type Principal } from '../access.ts';
import type { ApiContext } from '../context.ts';
import { callerOf } from '../conversation-json.ts';
import { fileOf, formOf, isForm } from '../form-message.ts';
import { bodyBytes } from '../raw-body.ts';
import { keyOf } from '../records.ts';
import { json, media, rawInput, route, router } from '../route.ts';
import { count, recordId, text } from '../schemas.ts';

const tags = ['Attachments'];
const KIB = ATTACHMENT_LIMITS.attachmentBytes / 1024;

const Upload = z
  .object({
    sha256: text('SHA-256 of the bytes, hex; name the upload by it.'),
    type: text('Media type, told by the bytes.'),
    size: count('Size in bytes.'),
    name: text('File name.'),
  })
  .openapi('Upload');

const upload = route('write', {
  operationId: 'uploadAttachment',
  method: 'post',
  path: '/',
  tags,
  summary: 'Upload a picture or file, to be named in a listing or message',
  description: `The bytes as they are, or a \`multipart/form-data\` body with a \`file\` (or \`image\`); at most ${KIB} KiB. An upload that no listing or message names is deleted after a day.`,
  request: {
    query: z.object({
      name: z.string().max(1024).optional().openapi({ description: 'File name.' }),
    }),
    body: rawInput('application/octet-stream', 'The bytes.'),
  },
  responses: { 201: json(Upload, 'The upload is on disk.') },
  codes: ['attachments-full', 'body-malformed', 'body-slow', 'body-too-large', 'fields-invalid'],
});
const read = route('read', {
  operationId: 'getAttachment',
  method: 'get',
  path: '/{collection}/{id}/{sha256}',
  tags,
  summary: 'Retrieve an attachment of a listing or message',
  description:
    'One that is not on this node is fetched from a node that has it. Attachments of messages are for the participants of their conversation; browsers can send the key as `?x-api-key=`.',
  request: {
    params: z.object({
      collection: z.enum(['listings', 'messages']),
      id: recordId,
      sha256: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .openapi({ description: 'SHA-256 of the bytes, hex.' }),
    }),
  },
  responses: {
    200: media('The bytes.', 'application/octet-stream'),
    304: { description: 'Unchanged since the `ETag` in `If-None-Match`.' },
  },
  codes: ['attachment-unavailable', 'attachments-full', 'busy'],
});

/** Bytes never change under their hash; a browser forgets them within a day all the same, as their record may be erased. */
const CACHED = 'max-age=86400, immutable';
/** A page of its own with nothing in it, whatever the bytes turn out to be. */
const SANDBOX = "default-src 'none'; sandbox";

type AttachmentNode = Pick<ApiContext, 'env' | 'self' | 'reader' | 'attachments' | 'conversations'>;

export function attachmentRoutes(node: AttachmentNode) {
  return router()
    .openapi(upload, async (c) => {
      const { userId } = c.get('principal');
      let name = c.req.valid('query').name;
      let bytes: Uint8Array;
      if (isForm(c)) {
        const file = fileOf(await formOf(c, node.env), ['file', 'image']);
        if (file === undefined) throw new AgrinetError('fields-invalid', 'file: required');
        name ??= file.name;
        bytes = new Uint8Array(await file.arrayBuffer());
      } else bytes = await bodyBytes(c, node.env, ATTACHMENT_LIMITS.attachmentBytes);
      const stored = await node.attachments.upload(bytes, userId, { isNamed: false });
      return c.json({ ...stored, name: attachmentName(name) }, 201);
    })
    .openapi(read, async (c) => {
      const { collection, id, sha256 } = c.req.valid('param');
      const state = await node.reader.get(keyOf(id, node.self, collection));
      const ref = isLive(state) ? attachmentsOf(state).find((each) => each.sha256 === sha256) : undefined;
      if (!isLive(state) || ref === undefined || !(await maySee(node, state, c.get('principal'))))
        throw new AgrinetError('not-found', 'Not found');
      // With PUBLIC_READS=off only holders of a key get here, and a cache that is shared would give it to all.
      const isPublic = state.channel === 'public' && c.get('principal').id === 'anonymous';
      const headers = {
        etag: `"${sha256}"`,
        'cache-control': `${isPublic ? 'public' : 'private'}, ${CACHED}`,
        'x-content-type-options': 'nosniff',
        'content-security-policy': SANDBOX,
      };
      if (c.req.header('if-none-match')?.includes(headers.etag) === true)
        return new Response(null, { status: 304, headers });
      const bytes = await node.attachments.read(state, sha256);
      return new Response(Buffer.from(bytes), {
        headers: { ...headers, ...shownAs(bytes, attachmentName(ref.name)) },
      });
    });
}

/** What is public is everybody's; what is private is its participants', and to all others it does not exist. */
async function maySee(
  { conversations }: AttachmentNode,
  { channel }: RecordState,
  principal: Principal,
): Promise<boolean> {
  if (channel === 'public') return true;
  if (!mayCall(principal, 'write')) return false;
  return (await conversations.find(callerOf(principal), publicIdOf(channel))) !== undefined;
}

/** Pictures and plain text are shown; a PDF has its type and is saved, as viewers do not work in a sandbox; anything else is saved. */
function shownAs(bytes: Uint8Array, name: string): Record<string, string> {
  const type = attachmentType(bytes);
  const isShown = type.startsWith('image/') || type === 'text/plain';
  return {
    'content-type': type === 'text/plain' ? 'text/plain; charset=utf-8' : type,
    'content-disposition': `${isShown ? 'inline' : 'attachment'}${fileName(name)}`,
  };
}

/** RFC 6266: every name as percent-encoded UTF-8. */
function fileName(name: string): string {
  if (name === '') return '';
  const encoded = encodeURIComponent(name.toWellFormed()).replaceAll(
    /['()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `; filename*=UTF-8''${encoded}`;
}
