/** What any object with conditions says of itself. */
interface Conditioned {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] | undefined };
}

/** Whether the object's condition `Ready` is true; one that has none, or of which nobody knows (`Unknown`), is not. */
export function isReady({ status }: Conditioned): boolean {
  return status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false;
}
