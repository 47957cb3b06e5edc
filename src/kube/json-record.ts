/** Whether a value out of JSON or YAML has fields. kernel/ has its like: neither of the two may import the other. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
