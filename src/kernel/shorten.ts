/** The front of a text that is longer than `longest` characters, with an ellipsis as its last one; else the text. */
export function shorten(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest - 1)}…`;
}
