import {
  CreateTableCommand,
  DeleteItemCommand,
  DescribeTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
} from '@aws-sdk/client-dynamodb';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Target } from '../outbox.ts';
import { type Attributes, DELETED, keyAttributes, targetOf, VERSION } from './attributes.ts';
import { fail, holds, nameOfError } from './client-errors.ts';
import type { MirrorLimits } from './limits.ts';
import type { TableSpec, Version } from './types.ts';

export interface ClientOptions {
  /** Of a DynamoDB of one's own; without it AWS's of the region. */
  readonly endpoint?: string | undefined;
  readonly region: string;
  /** Only what was given to the daemon in its own way; otherwise the SDK's chain finds them. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  /** Before every table's name. */
  readonly prefix: string;
  /** Ends every request. */
  readonly signal: AbortSignal;
}

/** What a put demands of the item that is there. */
export type Demand =
  /** Nothing, or something older. */
  | { readonly kind: 'older'; readonly than: Version }
  /** Something of the mirror's, and older. */
  | { readonly kind: 'there-and-older'; readonly than: Version }
  /** The `_version` that was seen; or, where that was none, still none of two numbers. */
  | { readonly kind: 'seen'; readonly item: Attributes }
  /** A text attribute has this value; `undefined`: there is none, and perhaps no item. */
  | { readonly kind: 'field'; readonly name: string; readonly value: string | undefined };

export type TableFinding = 'active' | 'missing' | 'being-made' | 'other-keys';

/**
 * The tables, item by item. Throws `mirror-table-missing`, `mirror-denied`, `mirror-item-refused` (what no repetition mends),
 * `mirror-throttled` and `mirror-away` (what a repetition may mend; whether a write was done is not known then).
 */
export interface Tables {
  readonly prefix: string;
  /** Consistently: what was acknowledged before is seen. */
  get(target: Target): Promise<Attributes | undefined>;
  /** False when the item there is not what is demanded. */
  put(table: string, item: Attributes, demand: Demand): Promise<boolean>;
  /** Removes a tombstone of exactly this version; false when there is something else. */
  removeTombstone(target: Target, version: Version): Promise<boolean>;
  /** Removes an item that has no `_version`; false when there is another. */
  removeForeign(target: Target): Promise<boolean>;
  /** Page by page, consistently. */
  scan(table: string, pageSize: number): AsyncGenerator<Attributes[]>;
  find(spec: TableSpec): Promise<TableFinding>;
  create(spec: TableSpec): Promise<void>;
  close(): void;
}

export function createTables(
  specs: readonly TableSpec[],
  { endpoint, region, credentials, prefix, signal }: ClientOptions,
  limits: Pick<MirrorLimits, 'requestMs' | 'attempts'>,
): Tables {
  const client = new DynamoDBClient({
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
    maxAttempts: limits.attempts,
    retryMode: 'standard',
    requestHandler: {
      connectionTimeout: limits.requestMs,
      requestTimeout: limits.requestMs,
      throwOnRequestTimeout: true,
    },
  });
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  const nameOf = (table: string): string => prefix + table;

  function specOf(table: string): TableSpec {
    const spec = byName.get(table);
    if (spec === undefined) throw new AgrinetError('internal', `the mirror has no table ${table}`);
    return spec;
  }
  /** A bound for everything together: finding credentials, the attempts, their pauses. */
  const within = (): { abortSignal: AbortSignal } => ({
    abortSignal: AbortSignal.any([signal, AbortSignal.timeout(limits.requestMs * limits.attempts + 1000)]),
  });

  function put(table: string, item: Attributes, demand: Demand): Promise<boolean> {
    const command = new PutItemCommand({
      TableName: nameOf(table),
      Item: item,
      ...conditionOf(expressionOf(demand)),
    });
    return holds(client.send(command, within()));
  }
  function remove(target: Target, expression: Expression): Promise<boolean> {
    const command = new DeleteItemCommand({
      TableName: nameOf(target.table),
      Key: keyAttributes(specOf(target.table), target),
      ...conditionOf(expression),
    });
    return holds(client.send(command, within()));
  }

  return {
    prefix,
    async get(target) {
      const { Item } = await client
        .send(
          new GetItemCommand({
            TableName: nameOf(target.table),
            Key: keyAttributes(specOf(target.table), target),
            ConsistentRead: true,
          }),
          within(),
        )
        .catch(fail);
      return Item;
    },
    put,
    removeTombstone: (target, version) =>
      remove(target, {
        condition: '#v[0] = :i AND #v[1] = :n AND #d = :d',
        names: { '#v': VERSION, '#d': DELETED },
        values: { ...versionValues(version), ':d': { BOOL: true } },
      }),
    removeForeign: (target) =>
      remove(target, { condition: 'attribute_not_exists(#v)', names: { '#v': VERSION } }),
    async *scan(table, pageSize) {
      const spec = specOf(table);
      let from: Attributes | undefined;
      do {
        const { Items = [], LastEvaluatedKey } = await client
          .send(
            new ScanCommand({
              TableName: nameOf(table),
              ConsistentRead: true,
              Limit: pageSize,
              ...(from === undefined ? {} : { ExclusiveStartKey: from }),
            }),
            within(),
          )
          .catch(fail);
        yield Items.filter((item) => targetOf(spec, item) !== undefined);
        from = LastEvaluatedKey;
      } while (from !== undefined);
    },
    async find(spec) {
      try {
        const { Table } = await client.send(
          new DescribeTableCommand({ TableName: nameOf(spec.name) }),
          within(),
        );
        const keys = ['HASH', 'RANGE'].flatMap((type) => {
          const name = Table?.KeySchema?.find(({ KeyType }) => KeyType === type)?.AttributeName;
          const text = Table?.AttributeDefinitions?.some(
            ({ AttributeName, AttributeType }) => AttributeName === name && AttributeType === 'S',
          );
          return name === undefined ? [] : [text === true ? name : `${name} is no text`];
        });
        if (keys.join('\0') !== spec.key.join('\0')) return 'other-keys';
        return Table?.TableStatus === 'CREATING' ? 'being-made' : 'active';
      } catch (error) {
        if (nameOfError(error) === 'ResourceNotFoundException') return 'missing';
        return fail(error);
      }
    },
    async create(spec) {
      try {
        await client.send(
          new CreateTableCommand({
            TableName: nameOf(spec.name),
            BillingMode: 'PAY_PER_REQUEST',
            AttributeDefinitions: spec.key.map((name) => ({ AttributeName: name, AttributeType: 'S' })),
            KeySchema: spec.key.map((name, i) => ({
              AttributeName: name,
              KeyType: i === 0 ? 'HASH' : 'RANGE',
            })),
          }),
          within(),
        );
      } catch (error) {
        if (nameOfError(error) !== 'ResourceInUseException') fail(error); // somebody has just made it
      }
    },
    close: () => client.destroy(),
  };
}

interface Expression {
  readonly condition: string;
  readonly names: Record<string, string>;
  readonly values?: Attributes;
}

function conditionOf({ condition, names, values }: Expression) {
  return {
    ConditionExpression: condition,
    ExpressionAttributeNames: names,
    ...(values === undefined ? {} : { ExpressionAttributeValues: values }),
  };
}

function expressionOf(demand: Demand): Expression {
  switch (demand.kind) {
    case 'older':
    case 'there-and-older': {
      const older = '#v[0] < :i OR (#v[0] = :i AND #v[1] < :n)';
      return {
        condition: demand.kind === 'older' ? `attribute_not_exists(#v) OR ${older}` : older,
        names: { '#v': VERSION },
        values: versionValues(demand.than),
      };
    }
    case 'seen': {
      const [incarnation, n] = demand.item[VERSION]?.L ?? [];
      if (incarnation?.N !== undefined && n?.N !== undefined)
        return {
          condition: '#v[0] = :i AND #v[1] = :n',
          names: { '#v': VERSION },
          values: { ':i': { N: incarnation.N }, ':n': { N: n.N } },
        };
      return {
        condition:
          'attribute_not_exists(#v) OR NOT attribute_type(#v[0], :t) OR NOT attribute_type(#v[1], :t)',
        names: { '#v': VERSION },
        values: { ':t': { S: 'N' } },
      };
    }
    case 'field':
      return demand.value === undefined
        ? { condition: 'attribute_not_exists(#f)', names: { '#f': demand.name } }
        : { condition: '#f = :f', names: { '#f': demand.name }, values: { ':f': { S: demand.value } } };
  }
}

const versionValues = ([incarnation, n]: Version): Attributes => ({
  ':i': { N: String(incarnation) },
  ':n': { N: String(n) },
});
