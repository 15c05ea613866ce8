import type { Membership, RecordState } from '../open-dialog/record.ts';
import type { PeerId } from '../wire/identity.ts';
import { parsedJson } from '../wire/json.ts';
import { nodeOf, parseParty } from './party.ts';

/*
 * What the users of one node have read of a conversation stands in one field of that node, `read.<its place among the writers>`:
 * the JSON list of `[message, user, user …]`, the mark that was set last first. A message is its owner's place and its local id.
 * The field has an end, so where it is full the marks that were set longest ago go; users who have read as far share one.
 */

/** UTF-16 code units of the field. */
const LENGTH = 2048;

type Marks = readonly (readonly [message: string, ...users: string[]])[];

/** The field of a node's marks; undefined where it is not a writer. */
export function readField({ writers }: Membership, node: PeerId): string | undefined {
  const place = writers.indexOf(node);
  return place < 0 ? undefined : `read.${place.toString(16)}`;
}

/** None where its node wrote something else. */
function marksOf(text: unknown): Marks {
  const list = typeof text === 'string' ? parsedJson(text) : undefined;
  if (!Array.isArray(list)) return [];
  return list.filter(
    (mark: unknown): mark is Marks[number] =>
      Array.isArray(mark) && mark.length > 1 && mark.every((each) => typeof each === 'string'),
  );
}

/** The public id of the newest message that a user, `user@peer-id`, has read according to its own node. */
export function readBy(
  { members, view }: Pick<RecordState, 'members' | 'view'>,
  user: string,
): string | undefined {
  const node = nodeOf(user);
  const name = parseParty(user)?.user;
  if (node === undefined || name === undefined || members === undefined) return undefined;
  const marks = marksOf(view[readField(members, node) ?? '']);
  const [message = ''] = marks.find(([, ...users]) => users.includes(name)) ?? [];
  const owner = members.writers[Number.parseInt(message.slice(0, 1), 16)];
  return owner === undefined ? undefined : `${owner}.${message.slice(1)}`;
}

/** The field with another message, a public id, as the newest that a user of its node has read. */
export function withMark(text: unknown, { writers }: Membership, user: string, message: string): string {
  const [owner = '', id = ''] = message.split('.');
  const at = `${writers.findIndex((writer) => writer === owner).toString(16)}${id}`;
  const others = marksOf(text).map(([of, ...users]) => [of, ...users.filter((each) => each !== user)]);
  const same = others.find(([of]) => of === at)?.slice(1) ?? [];
  const marks = [[at, user, ...same], ...others.filter(([of, ...users]) => of !== at && users.length > 0)];
  for (let text = JSON.stringify(marks); ; text = JSON.stringify(marks)) {
    if (text.length <= LENGTH || marks.length <= 1)
      return text.length <= LENGTH ? text : JSON.stringify([[at, user]]);
    marks.pop();
  }
}
