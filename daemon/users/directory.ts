import {
  USER_FIELDS,
  type User,
  type UserChange,
  type UserFields,
  type UsersPort,
} from '../../api/ports/users.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import type { UserTable } from '../../storage/user-table.ts';
import { oneChange } from '../write-refusal.ts';

export const USER_LIMITS = {
  /** Users in the directory: they are kept in memory, about 300 bytes each. */
  entered: 10_000,
} as const;

export interface DirectoryParts {
  readonly table: UserTable<User>;
  readonly keys: {
    /** Whether this node has a user of that name without an entry here, as far as it can tell. */
    readonly isUser: (id: string) => boolean;
    /** Users to whom keys were issued. */
    readonly holders: () => ReadonlySet<string>;
  };
  readonly now: () => number;
  /** Why nothing may be written now. */
  readonly refusal: () => AgrinetError | undefined;
}

/** The node's own users, and what it knows of each. */
export class Directory implements UsersPort {
  readonly #parts: DirectoryParts;
  #rows: ReadonlyMap<string, User> = new Map();
  /** Memory moves only when a change is on disk. */
  readonly #changes = new SerialQueue();

  static async open(parts: DirectoryParts): Promise<Directory> {
    const directory = new Directory(parts);
    await directory.reload();
    return directory;
  }

  private constructor(parts: DirectoryParts) {
    this.#parts = parts;
  }

  /** Reads the table again after the database was reopened. */
  reload(): Promise<void> {
    return this.#changes.run(async () => {
      this.#rows = new Map((await this.#parts.table.load()).map((row) => [row.id, row]));
    });
  }

  /** The entry of a user; undefined where there is none. */
  find(id: string): User | undefined {
    return this.#rows.get(id);
  }

  /** Whether this node has such a user, as far as it can tell. */
  isUser(id: string): boolean {
    return this.#rows.has(id) || this.#parts.keys.isUser(id);
  }

  /** All users with a number: a phone may be a family's. */
  byPhone(phone: string): readonly User[] {
    return [...this.#rows.values()].filter((user) => user.phone === phone);
  }

  list(limit: number, cursor = ''): { readonly users: readonly User[]; readonly cursor?: string } {
    const known = new Set([...this.#rows.keys(), ...this.#parts.keys.holders()]);
    const ids = [...known].filter((id) => id > cursor).sort();
    const users = ids.slice(0, limit).map((id) => this.#rows.get(id) ?? { id });
    const last = users.at(-1);
    return ids.length > limit && last !== undefined ? { users, cursor: last.id } : { users };
  }

  get(id: string): User {
    if (!this.isUser(id)) throw unknown();
    return this.#rows.get(id) ?? { id };
  }

  change(id: string, change: UserChange): Promise<User> {
    return this.#write(async () => {
      const { table, now } = this.#parts;
      const before = this.#rows.get(id);
      if (before === undefined && this.#rows.size >= USER_LIMITS.entered)
        throw new AgrinetError('users-full', 'too many users are entered; remove some: agrinet users remove');
      const at = now();
      const row: User = { createdAt: at, ...changed(before, change), id, updatedAt: at };
      await table.put(row);
      this.#rows = new Map(this.#rows).set(id, row);
      return row;
    });
  }

  remove(id: string): Promise<void> {
    return this.#write(async () => {
      if (!this.#rows.has(id)) throw unknown();
      await this.#parts.table.remove(id);
      const rows = new Map(this.#rows);
      rows.delete(id);
      this.#rows = rows;
    });
  }

  #write<T>(work: () => Promise<T>): Promise<T> {
    return oneChange(this.#changes, this.#parts.refusal, work);
  }
}

/** The entry of a user after a change: null removes a field, an absent one stays. */
function changed(before: User | undefined, change: UserChange): UserFields {
  const fields: { -readonly [F in keyof UserFields]: UserFields[F] } = { ...before };
  const set = <F extends keyof UserFields>(field: F): void => {
    const value = change[field];
    if (value === null) delete fields[field];
    else if (value !== undefined) fields[field] = value;
  };
  USER_FIELDS.forEach((field) => set(field));
  return fields;
}

function unknown(): AgrinetError {
  return new AgrinetError('user-unknown', 'this node has no such user; list them with: agrinet users');
}
