import { isUtf8 } from 'node:buffer';
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import type { Env } from '../protocols/env.ts';
import { AgrinetError } from '../protocols/errors.ts';
import { ATTACHMENT_LIMITS } from '../protocols/market/attachment.ts';
import type { ApiEnv } from './access.ts';
import { bodyBytes } from './raw-body.ts';

/** A form around one file: its boundaries, heads and texts. */
const FORM_BYTES = ATTACHMENT_LIMITS.attachmentBytes + 64 * 1024;
const IS_FORM = /^multipart\/form-data\b/i;

/** Parts of one form: a message has six fields and a file. The parser takes them all at once. */
const MOST_PARTS = 32;

/** Whether a body is a form with parts. */
export function isForm(c: Context): boolean {
  return IS_FORM.test(c.req.header('content-type') ?? '');
}

/** A form that was read. Throws `body-malformed`, `body-too-large`. */
export async function formOf(c: Context, env: Pick<Env, 'after' | 'monotonic'>): Promise<FormData> {
  const bytes = await bodyBytes(c, env, FORM_BYTES);
  const headers = { 'content-type': c.req.header('content-type') ?? '' };
  if (hasManyParts(bytes, headers['content-type']))
    throw new AgrinetError('body-malformed', `a form may have at most ${MOST_PARTS} parts`);
  const parsed = async (body: Uint8Array): Promise<FormData> =>
    new Response(Buffer.from(body), { headers }).formData();
  try {
    const form = await parsed(bytes);
    // The parser puts U+FFFD for letters that are lost, but somebody may have sent one, too: with each byte as a letter none is lost.
    const isSuspect = textsOf(form).some((text) => text.includes('\uFFFD'));
    if (!isSuspect || textsOf(await parsed(Buffer.from(Buffer.from(bytes).toString('latin1')))).every(isText))
      return form;
  } catch (error) {
    throw new AgrinetError('body-malformed', 'the body is not a valid multipart/form-data', { cause: error });
  }
  throw new AgrinetError('body-malformed', 'the texts of the form are not UTF-8; send them as UTF-8');
}

function hasManyParts(bytes: Uint8Array, type: string): boolean {
  const [, quoted, plain] = /boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(type) ?? [];
  const boundary = `--${quoted ?? plain ?? ''}`;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let parts = 0;
  for (let at = text.indexOf(boundary); at !== -1; at = text.indexOf(boundary, at + boundary.length))
    if (++parts > MOST_PARTS + 1) return true; // one more ends them
  return false;
}

/** Its texts and the names of its files. */
function textsOf(form: FormData): string[] {
  return [...form.values()].map((value) => (typeof value === 'string' ? value : value.name));
}

/** Whether bytes, each as a letter, are UTF-8. */
const isText = (bytes: string): boolean => isUtf8(Buffer.from(bytes, 'latin1'));

/** The first file of a form under one of these names. */
export function fileOf(form: FormData, names: readonly string[]): File | undefined {
  for (const name of names) {
    const value = form.get(name);
    if (value instanceof File) return value;
  }
  return undefined;
}

/** The fields of a message that a form may have; `message` is what some clients call its content. */
const TEXTS = { from: 'from', to: 'to', type: 'type', content: 'content', message: 'content' } as const;

/** A message that comes as a form with a `file` is read like one in JSON, by the same schema. */
export function messageForms(env: Pick<Env, 'after' | 'monotonic'>) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    if (!isForm(c)) return next();
    const form = await formOf(c, env);
    const message: Record<string, unknown> = { content: '' };
    for (const [name, field] of Object.entries(TEXTS)) {
      const value = form.get(name);
      if (typeof value === 'string') message[field] = value;
    }
    const file = fileOf(form, ['file']);
    if (file !== undefined) {
      const data = Buffer.from(await file.arrayBuffer()).toString('base64');
      message['file'] = { name: file.name, type: file.type, data };
    }
    const headers = new Headers(c.req.raw.headers);
    headers.set('content-type', 'application/json');
    headers.delete('content-length');
    c.req.raw = new Request(c.req.raw.url, {
      method: 'POST',
      headers,
      body: JSON.stringify(message),
    });
    return next();
  });
}
