/** Lines of coloured text, as data: what is shown is decided without a terminal. Pure. */
export type Tone = 'good' | 'bad' | 'busy' | 'quiet' | 'strong';

export interface Span {
  readonly text: string;
  readonly tone?: Tone;
}

export type Line = readonly Span[];

/** Select Graphic Rendition codes. Source: ECMA-48, 8.3.117; only colours that both light and dark terminals show. */
const CODES: Readonly<Record<Tone, string>> = { good: '32', bad: '31', busy: '33', quiet: '2', strong: '1' };

export function span(text: string, tone?: Tone): Span {
  return tone === undefined ? { text } : { text, tone };
}

export function plainText(line: Line): string {
  return line
    .map(({ text }) => text)
    .join('')
    .trimEnd();
}

export function colouredText(line: Line): string {
  return line.map(({ text, tone }) => (tone === undefined ? text : `\u001b[${CODES[tone]}m${text}\u001b[0m`)).join('');
}

/** The line's columns in a terminal: all characters that we show take one. */
export function widthOf(line: Line): number {
  return line.reduce((width, { text }) => width + text.length, 0);
}

/** The line, or what fits of it with an ellipsis in the last column. */
export function fitLine(line: Line, columns: number): Line {
  if (widthOf(line) <= columns) return line;
  return columns < 1 ? [] : [...slice(line, 0, columns - 1), span('…', 'quiet')];
}

/** The line broken between words; what follows the first part is indented by two more than the line itself. */
export function wrapLine(line: Line, columns: number): readonly Line[] {
  const text = line.map((each) => each.text).join('');
  const indent = Math.min(text.length - text.trimStart().length + 2, Math.floor(columns / 2));
  const parts: Line[] = [];
  let from = 0;
  let before = '';
  while (text.length - from > columns - before.length) {
    const room = from + columns - before.length;
    const space = text.lastIndexOf(' ', room);
    // A word that is longer than the line is broken where it must be.
    const to = space > from + indent ? space : room;
    parts.push([...(before === '' ? [] : [span(before)]), ...slice(line, from, to)]);
    from = to;
    while (text[from] === ' ') from += 1;
    before = ' '.repeat(indent);
  }
  return [...parts, [...(before === '' ? [] : [span(before)]), ...slice(line, from, text.length)]];
}

/** The spans between two columns. */
function slice(line: Line, from: number, to: number): Line {
  const spans: Span[] = [];
  let at = 0;
  for (const { text, tone } of line) {
    const part = text.slice(Math.max(0, from - at), Math.max(0, to - at));
    if (part !== '') spans.push(span(part, tone));
    at += text.length;
  }
  return spans;
}

/** Text of exactly this many columns: filled with spaces, or with the middle left out, because names differ at their ends. */
export function cell(text: string, columns: number): string {
  if (text.length <= columns) return text.padEnd(columns);
  if (columns < 3) return text.slice(0, Math.max(0, columns));
  const tail = Math.floor((columns - 1) / 2);
  return `${text.slice(0, columns - 1 - tail)}…${text.slice(text.length - tail)}`;
}
