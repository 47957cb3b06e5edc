/**
 * How large the program of a pattern may become, in instructions: at least as many as RE2 makes of it. Repetitions copy what they repeat, and
 * those that stand in one another multiply: `(a{1000}){1000}` is 15 letters and a million instructions. RE2 itself says no only where they
 * would be millions, and by then has made them.
 *
 * It reads only what decides that. Of a pattern that RE2 refuses any number is right.
 */
export function programSizeOf(source: string): number {
  const groups: Group[] = [];
  let current: Group = { size: 0, last: 0 };
  const add = (size: number, last = size): void => {
    current.size += size;
    // What is empty, as flags are, leaves to a repetition what stands before it.
    if (size > 0) current.last = last;
  };
  let at = 0;
  while (at < source.length) {
    const rest = source.slice(at);
    const quoted = /^\\Q(.*?)(?:\\E|$)/s.exec(rest);
    const token = quoted ?? TOKEN.exec(rest);
    const text = token?.[0] ?? '';
    // A class without an end: RE2 refuses it, and to look for its end once is enough.
    if (text === '[') break;
    at += text.length;
    const repetition = quoted === null ? token?.groups : undefined;
    if (quoted !== null) {
      add(quoted[1]?.length ?? 0, 1);
    } else if (repetition?.['least'] !== undefined) {
      const { least, most = '' } = repetition;
      // A copy that may be missing has an instruction more.
      const grown = current.last * 2 * Math.max(1, Number(least), Number(most) || 0);
      current.size += grown;
      current.last += grown;
    } else if (/^[*+?]$/.test(text)) {
      current.size += 2;
      current.last += 2;
    } else if (/^\(\?[^:)]*\)$/.test(text)) {
      add(0);
    } else if (text === '(') {
      groups.push(current);
      current = { size: 4, last: 0 };
    } else if (text === ')') {
      const { size } = current;
      current = groups.pop() ?? { size: 0, last: 0 };
      add(size);
    } else {
      add(2);
    }
    if (current.size > Number.MAX_SAFE_INTEGER) break;
  }
  return groups.reduce((sum, { size }) => sum + size, current.size) + 3;
}

interface Group {
  size: number;
  /** Of what a repetition that follows would repeat. */
  last: number;
}

/**
 * A repetition with numbers, an escape, flags, a class of characters, or one character. In a class a backslash is read in one way alone: with two,
 * forty of them would take days.
 */
const TOKEN =
  /^(?:\{(?<least>\d+)(?:,(?<most>\d*))?\}|\\[pPx]\{[^}]*\}|\\.|\(\?[a-zA-Z-]+\)|\[\^?\]?(?:\\.|\[:[^\]]*?:\]|[^\]\\])*\]|.)/su;
