const LONGEST = 300;
/** Fields that say nothing to a person who reads the last lines after a failure. */
const UNTOLD: ReadonlySet<string> = new Set(['time', 'level', 'msg', 'err', 'reconcileID', 'config']);

/** A line of the operator's JSON log as a person reads it; any other line (a stack trace) as it is. Pure. */
export function readableLogLine(line: string): string {
  const fields = parse(line);
  if (fields === undefined) return cut(line);
  const { time, level, msg, err } = fields;
  const others = Object.entries(fields).filter(([key]) => !UNTOLD.has(key));
  const told = others.map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return cut(`${timeOfDay(time)} ${String(level)}: ${String(msg)}${messageOf(err)}${told.join('')}`);
}

function parse(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Of an RFC 3339 time in UTC. */
function timeOfDay(time: unknown): string {
  return typeof time === 'string' ? time.slice(11, 23) : '';
}

function messageOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error ? `: ${String(error.message)}` : '';
}

function cut(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`;
}
