/** Whether a value out of JSON, or of anything else that nobody has checked, has fields: no list, no text, not nothing. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
