import {
  CreateTableCommand,
  DeleteItemCommand,
  DescribeTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
  type TableDescription,
} from '@aws-sdk/client-dynamodb';
import type { Env } from '../../protocols/env.ts';
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
  readonly env: Pick<Env, 'deadline'>;
}

/** The condition of a put on the existing item. */
export type Demand =
  /** Nothing, or something older. */
  | { readonly kind: 'older'; readonly than: Version }
  /** Something of the mirror's, and older. */
  | { readonly kind: 'there-and-older'; readonly than: Version }
  /** The `_version` that was seen; or, where that was none, still none of two numbers. */
  | { readonly kind: 'seen'; readonly item: Attributes }
  /** A text attribute has this value; `undefined`: it is absent, and perhaps the whole item. */
  | { readonly kind: 'field'; readonly name: string; readonly value: string | undefined };

export type TableFinding = 'active' | 'missing' | 'being-made' | 'other-keys';

/**
 * The tables, item by item. Throws `mirror-table-missing`, `mirror-denied`, `mirror-item-refused` (what no repetition mends),
 * `mirror-throttled` and `mirror-away` (what a repetition may fix; whether a write was done is not known then).
 */
export interface Tables {
  readonly prefix: string;
  /** Consistently: what was acknowledged before is seen. */
  get(target: Target): Promise<Attributes | undefined>;
  /** False when the existing item does not meet the condition. */
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
  options: ClientOptions,
  limits: Pick<MirrorLimits, 'requestMs' | 'attempts'>,
): Tables {
  return new DynamoTables(specs, options, limits);
}

type RequestLimits = Pick<MirrorLimits, 'requestMs' | 'attempts'>;

function clientOf({ endpoint, region, credentials }: ClientOptions, limits: RequestLimits): DynamoDBClient {
  return new DynamoDBClient({
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
}

class DynamoTables implements Tables {
  readonly prefix: string;
  readonly #client: DynamoDBClient;
  readonly #specs: ReadonlyMap<string, TableSpec>;
  readonly #options: ClientOptions;
  readonly #limits: RequestLimits;

  constructor(specs: readonly TableSpec[], options: ClientOptions, limits: RequestLimits) {
    this.prefix = options.prefix;
    this.#client = clientOf(options, limits);
    this.#specs = new Map(specs.map((spec) => [spec.name, spec]));
    this.#options = options;
    this.#limits = limits;
  }

  async get(target: Target): Promise<Attributes | undefined> {
    const command = new GetItemCommand({
      TableName: this.#nameOf(target.table),
      Key: keyAttributes(this.#specOf(target.table), target),
      ConsistentRead: true,
    });
    const { Item } = await this.#client.send(command, this.#within()).catch(fail);
    return Item;
  }

  put(table: string, item: Attributes, demand: Demand): Promise<boolean> {
    const command = new PutItemCommand({
      TableName: this.#nameOf(table),
      Item: item,
      ...conditionOf(expressionOf(demand)),
    });
    return holds(this.#client.send(command, this.#within()));
  }

  removeTombstone(target: Target, version: Version): Promise<boolean> {
    return this.#remove(target, {
      condition: '#v[0] = :i AND #v[1] = :n AND #d = :d',
      names: { '#v': VERSION, '#d': DELETED },
      values: { ...versionValues(version), ':d': { BOOL: true } },
    });
  }

  removeForeign(target: Target): Promise<boolean> {
    return this.#remove(target, { condition: 'attribute_not_exists(#v)', names: { '#v': VERSION } });
  }

  async *scan(table: string, pageSize: number): AsyncGenerator<Attributes[]> {
    const spec = this.#specOf(table);
    let from: Attributes | undefined;
    do {
      const command: ScanCommand = new ScanCommand({
        TableName: this.#nameOf(table),
        ConsistentRead: true,
        Limit: pageSize,
        ...(from === undefined ? {} : { ExclusiveStartKey: from }),
      });
      const { Items = [], LastEvaluatedKey } = await this.#client.send(command, this.#within()).catch(fail);
      yield Items.filter((item) => targetOf(spec, item) !== undefined);
      from = LastEvaluatedKey;
    } while (from !== undefined);
  }

  async find(spec: TableSpec): Promise<TableFinding> {
    try {
      const command = new DescribeTableCommand({ TableName: this.#nameOf(spec.name) });
      const { Table } = await this.#client.send(command, this.#within());
      if (keyNames(Table).join('\0') !== spec.key.join('\0')) return 'other-keys';
      return Table?.TableStatus === 'CREATING' ? 'being-made' : 'active';
    } catch (error) {
      if (nameOfError(error) === 'ResourceNotFoundException') return 'missing';
      return fail(error);
    }
  }

  async create(spec: TableSpec): Promise<void> {
    const command = new CreateTableCommand({
      TableName: this.#nameOf(spec.name),
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: spec.key.map((name) => ({ AttributeName: name, AttributeType: 'S' })),
      KeySchema: spec.key.map((name, i) => ({ AttributeName: name, KeyType: i === 0 ? 'HASH' : 'RANGE' })),
    });
    try {
      await this.#client.send(command, this.#within());
    } catch (error) {
      if (nameOfError(error) !== 'ResourceInUseException') fail(error); // somebody has just made it
    }
  }

  close(): void {
    this.#client.destroy();
  }

  #remove(target: Target, expression: Expression): Promise<boolean> {
    const command = new DeleteItemCommand({
      TableName: this.#nameOf(target.table),
      Key: keyAttributes(this.#specOf(target.table), target),
      ...conditionOf(expression),
    });
    return holds(this.#client.send(command, this.#within()));
  }

  #nameOf(table: string): string {
    return this.prefix + table;
  }

  #specOf(table: string): TableSpec {
    const spec = this.#specs.get(table);
    if (spec === undefined) throw new AgrinetError('internal', `the mirror has no table ${table}`);
    return spec;
  }

  /** A bound for everything together: finding credentials, the attempts, their pauses. */
  #within(): { abortSignal: AbortSignal } {
    const { env, signal } = this.#options;
    const { requestMs, attempts } = this.#limits;
    return { abortSignal: AbortSignal.any([signal, env.deadline(requestMs * attempts + 1000)]) };
  }
}

/** The key attributes of a table; one that is not a text is named as such. */
function keyNames(table: TableDescription | undefined): string[] {
  return ['HASH', 'RANGE'].flatMap((type) => {
    const name = table?.KeySchema?.find(({ KeyType }) => KeyType === type)?.AttributeName;
    const text = table?.AttributeDefinitions?.some(
      ({ AttributeName, AttributeType }) => AttributeName === name && AttributeType === 'S',
    );
    return name === undefined ? [] : [text === true ? name : `${name} is no text`];
  });
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
