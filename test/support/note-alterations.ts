/** One alteration of a note, and what its findings have to name. */
export interface Alteration {
  readonly what: string;
  readonly altered: string;
  readonly names: RegExp;
}

type Random = () => number;
type Holder = Record<string, unknown>;

interface Place {
  readonly path: string;
  readonly holder: Holder;
  readonly name: string;
}

/** Every value of a note, lists and objects too. */
function placesOf(value: unknown, path = ''): Place[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Holder;
  return Object.keys(holder).flatMap((name) => {
    const at = Array.isArray(value) ? `${path}[${name}]` : path === '' ? name : `${path}.${name}`;
    return [{ path: at, holder, name }, ...placesOf(holder[name], at)];
  });
}

function other(value: unknown, random: Random): unknown {
  if (typeof value === 'number') return value + 1 + Math.floor(random() * 9);
  if (typeof value === 'boolean') return !value;
  if (typeof value !== 'string') return 'altered';
  const at = Math.floor(random() * value.length);
  const character = value[at] === 'a' ? 'b' : 'a';
  return value === '' ? 'a' : value.slice(0, at) + character + value.slice(at + 1);
}

const escaped = (text: string): RegExp => new RegExp(text.replaceAll(/[.[\]]/g, '\\$&'));

/** What must be named where a value below `evidence` is altered: the others are named by their own place. */
function namesOf(path: string): RegExp {
  if (/^evidence(\.word)?$/.test(path)) return /^evidence\.word /;
  if (path.startsWith('evidence.creation')) return /^evidence\.creation/;
  if (/^evidence\.statements$/.test(path)) return /^evidence\.statements /;
  if (path.startsWith('evidence.statements')) return /^(evidence\.statements\[\d+\]|step [0-9a-f]{64}) /;
  return escaped(path);
}

/** So many alterations of a note's file: values changed, taken out or put in, lists turned round, bytes of the text changed, lines lost. */
export function* alterations(text: string, random: Random, count: number): Generator<Alteration> {
  const below = (n: number): number => Math.floor(random() * n);
  const paths = placesOf(JSON.parse(text)).length;
  for (let i = 0; i < count; i++) {
    const value: unknown = JSON.parse(text);
    const place = placesOf(value)[below(paths)];
    if (place === undefined) throw new Error('an empty note');
    const { path, holder, name } = place;
    const held = holder[name];
    const kind = below(5);
    const write = (): string => `${JSON.stringify(value, null, 2)}\n`;
    if (kind === 0) {
      holder[name] = other(held, random);
      yield { what: `${path} altered`, altered: write(), names: namesOf(path) };
    } else if (kind === 1) {
      if (Array.isArray(holder)) holder.splice(Number(name), 1);
      else delete holder[name];
      const where = Array.isArray(holder) ? path.slice(0, path.lastIndexOf('[')) : path;
      const names = where.startsWith('evidence.statements') ? namesOf(`${where}[0]`) : namesOf(where);
      yield {
        what: `${path} taken out`,
        altered: write(),
        names: where === path && path === 'evidence.statements' ? namesOf(path) : names,
      };
    } else if (kind === 2) {
      const into =
        typeof held === 'object' && held !== null && !Array.isArray(held)
          ? (held as Holder)
          : (value as Holder);
      const at = into === value ? '' : `${path}.`;
      into['note'] = 'put in';
      const isRead = at.startsWith('evidence.creation') || at === 'evidence.';
      yield {
        what: `${at}note put in`,
        altered: write(),
        names: isRead ? /evidence\..*note/ : escaped(`${at}note`),
      };
    } else if (kind === 3) {
      const at = below(text.length);
      const character = text[at] === '0' ? '1' : '0';
      yield {
        what: `character ${at}`,
        altered: text.slice(0, at) + character + text.slice(at + 1),
        names: /./,
      };
    } else {
      const lines = text.split('\n');
      const [line] = lines.splice(below(lines.length - 1), 1);
      yield { what: `line ${line} lost`, altered: lines.join('\n'), names: /./ };
    }
  }
}
