/**
 * `YYYY-MM-DD`, with a time of day behind a T or a space, and that with a zone or without: ISO 8601 and what SQL databases write.
 */
const ISO =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?: ?(Z|[+-]\d{2}(?::?\d{2})?))?)?$/i;

/** Seconds since 1970 from 2001 to 2286, and the same in milliseconds. Nothing between them can be mistaken for the other. */
const SECONDS = [1e9, 1e10] as const;
const MILLISECONDS = [1e12, 1e13] as const;

/**
 * A time as old nodes write it, in milliseconds since 1970; a text is the reason why it is not one. Without a zone it is UTC,
 * whatever the zone of this machine: servers that store times without one run in UTC, and two nodes must read one export alike.
 */
export function legacyTime(value: unknown): number | string {
  if (typeof value === 'number') return fromNumber(value);
  if (typeof value === 'object' && value !== null && '$date' in value) return legacyTime(value.$date);
  if (typeof value !== 'string') return 'is not a time';
  const text = value.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return fromNumber(Number(text));
  if (/^\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}\b/.test(text))
    return 'may be day or month first; only dates that begin with the year are taken';
  return fromIso(text) ?? 'is not a time (ISO 8601, or seconds or milliseconds since 1970)';
}

function fromNumber(value: number): number | string {
  if (value >= SECONDS[0] && value < SECONDS[1]) return Math.floor(value * 1000);
  if (value >= MILLISECONDS[0] && value < MILLISECONDS[1]) return Math.floor(value);
  return 'is neither seconds nor milliseconds since 1970 of this century';
}

function fromIso(text: string): number | undefined {
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone = 'Z'] =
    ISO.exec(text) ?? [];
  if (year === undefined) return undefined;
  const [y, mo, d, h, mi, s] = [year, month, day, hour, minute, second].map(Number);
  if (
    y === undefined ||
    mo === undefined ||
    d === undefined ||
    h === undefined ||
    mi === undefined ||
    s === undefined
  )
    return undefined;
  const at = new Date(Date.UTC(y, mo - 1, d, h, mi, s, Number(fraction.padEnd(3, '0').slice(0, 3))));
  // Date.UTC carries over what does not exist: 30 February, 25 o'clock.
  const exists =
    at.getUTCMonth() === mo - 1 &&
    at.getUTCDate() === d &&
    at.getUTCHours() === h &&
    at.getUTCMinutes() === mi;
  const offset = offsetOf(zone);
  if (!exists || s > 59 || offset === undefined) return undefined;
  const time = at.getTime() - offset;
  return time > 0 ? time : undefined;
}

/** Milliseconds east of UTC. */
function offsetOf(zone: string): number | undefined {
  if (zone.toUpperCase() === 'Z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(3).replace(':', '') || '0');
  if (hours > 14 || minutes > 59) return undefined;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}
