/** Markdown for reference pages. */

export type Row = Readonly<Record<string, unknown>>;

/** A table with a column for each key of the rows, in the order in which the keys first appear. */
export function table(rows: readonly Row[]): string {
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(keys.map(heading)),
    line(keys.map(() => '---')),
    ...rows.map((row) => line(keys.map((key) => cell(row[key])))),
  ].join('\n');
}

/** `nextStep` becomes `Next step`. */
function heading(key: string): string {
  const words = key.replace(/([a-z])([A-Z])/g, (_, end: string, start: string) => `${end} ${start.toLowerCase()}`);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function cell(value: unknown): string {
  if (value === undefined || value === null) return '';
  const text = typeof value === 'string' ? value : Array.isArray(value) ? value.join(', ') : JSON.stringify(value);
  return text.replaceAll('|', '\\|').replace(/\s*\n\s*/g, ' ');
}
