import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { AgrinetError, errorMessage } from '../../protocols/errors.ts';
import type { Target } from '../outbox.ts';
import type { ItemFields, ProjectedItem, TableSpec, Version } from './types.ts';

/** An item as DynamoDB has it. */
export type Attributes = Record<string, AttributeValue>;

export const VERSION = '_version';
export const SOURCE = '_source';
export const DELETED = '_deleted';

/**
 * Numbers as they are, also those beyond 2^53. Empty texts as null, the way the old back end's client wrote them: older
 * DynamoDBs take none.
 */
const options = { removeUndefinedValues: true, allowImpreciseNumbers: true, convertEmptyValues: true };

export function keyAttributes({ key: names }: TableSpec, { key }: Target): Attributes {
  return Object.fromEntries(names.map((name, i) => [name, { S: key[i] ?? '' }]));
}

/** The key of an item that was read; undefined when it is not of strings. */
export function targetOf(spec: TableSpec, item: Attributes): Target | undefined {
  const key = spec.key.map((name) => item[name]?.S);
  return key.every((value) => value !== undefined) ? { table: spec.name, key } : undefined;
}

export function versionAttribute([incarnation, n]: Version): AttributeValue {
  return { L: [{ N: String(incarnation) }, { N: String(n) }] };
}

/** The version of an item; undefined for one that is not of the form. */
export function versionOf(item: Attributes): Version | undefined {
  const [incarnation, n, more] = item[VERSION]?.L ?? [];
  const version = [Number(incarnation?.N), Number(n?.N)] as const;
  return more === undefined && version.every((part) => Number.isSafeInteger(part)) ? version : undefined;
}

/** The complete item; the key attributes replace fields of those names. Throws `mirror-item-refused`. */
export function liveItem(
  spec: TableSpec,
  target: Target,
  { fields, source }: ProjectedItem,
  version: Version,
): Attributes {
  return {
    ...marshalled(fields),
    ...keyAttributes(spec, target),
    [SOURCE]: { S: source },
    [VERSION]: versionAttribute(version),
  };
}

function marshalled(fields: ItemFields): Attributes {
  try {
    return marshall(fields, options);
  } catch (error) {
    throw new AgrinetError('mirror-item-refused', errorMessage(error), { cause: error });
  }
}

/**
 * The tombstone of a removed item, until nothing older can arrive: no content. Its source is the row of the outbox that is going to
 * remove it.
 */
export function tombstone(spec: TableSpec, target: Target, row: string, version: Version): Attributes {
  return {
    ...keyAttributes(spec, target),
    [SOURCE]: { S: row },
    [VERSION]: versionAttribute(version),
    [DELETED]: { BOOL: true },
  };
}

export function isTombstone(item: Attributes): boolean {
  return item[DELETED]?.BOOL === true;
}

/** Whether two items say the same, versions left aside; numbers by their value, as DynamoDB writes them its own way. */
export function sameContent(a: Attributes, b: Attributes): boolean {
  const { [VERSION]: _, ...one } = a;
  const { [VERSION]: __, ...other } = b;
  return sameMap(one, other);
}

function sameMap(a: Attributes, b: Attributes): boolean {
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => {
      const [one, other] = [a[name], b[name]];
      return one !== undefined && other !== undefined && sameAttribute(one, other);
    })
  );
}

function sameAttribute(a: AttributeValue, b: AttributeValue): boolean {
  if (a.M !== undefined || b.M !== undefined)
    return a.M !== undefined && b.M !== undefined && sameMap(a.M, b.M);
  if (a.L !== undefined || b.L !== undefined) {
    const [one, other] = [a.L, b.L];
    if (one === undefined || other === undefined || one.length !== other.length) return false;
    return one.every((each, i) => sameAttribute(each, other[i] ?? { NULL: true }));
  }
  if (a.N !== undefined || b.N !== undefined)
    return a.N !== undefined && b.N !== undefined && Number(a.N) === Number(b.N);
  if (a.S !== undefined || b.S !== undefined) return a.S === b.S;
  if (a.BOOL !== undefined || b.BOOL !== undefined) return a.BOOL === b.BOOL;
  // Sets and binary are nothing that the mirror writes.
  return a.NULL === true && b.NULL === true;
}

/** DynamoDB's size of an item in bytes: UTF-8 of every name and value; a list or map takes 3 and 1 for each element. */
export function itemSize(item: Attributes): number {
  return Object.entries(item).reduce((sum, [name, value]) => sum + utf8(name) + valueSize(value), 0);
}

const utf8 = (text: string): number => Buffer.byteLength(text, 'utf8');

function valueSize(value: AttributeValue): number {
  if (value.S !== undefined) return utf8(value.S);
  if (value.N !== undefined) return numberSize(value.N);
  if (value.M !== undefined) return 3 + itemSize(value.M) + Object.keys(value.M).length;
  if (value.L !== undefined) return 3 + value.L.reduce((sum, each) => sum + 1 + valueSize(each), 0);
  return 1;
}

/** A byte for two significant digits, one more, and one for a sign. */
function numberSize(text: string): number {
  const [mantissa = ''] = text.split(/e/i);
  const digits = mantissa.replace(/[-+.]/g, '').replace(/^0+|0+$/g, '');
  return Math.ceil(digits.length / 2) + 1 + (text.startsWith('-') ? 1 : 0);
}
