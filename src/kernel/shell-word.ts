/** For a POSIX shell: one word, whatever is in the text. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
