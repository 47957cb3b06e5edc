const DECIMAL = /^[0-9]+$/;

/**
 * Orders two resourceVersions of one kind as the numbers they are: negative when `a` is older, positive when it is newer, 0 when they are equal,
 * and `undefined` when either is not a decimal number. They outgrow 2^53, so they are compared as digits.
 * Source: kubernetes.io/docs/reference/using-api/api-concepts, "Resource versions": since Kubernetes 1.35 they are documented as comparable.
 */
export function compareResourceVersions(a: string, b: string): number | undefined {
  if (!DECIMAL.test(a) || !DECIMAL.test(b)) return undefined;
  const [left, right] = [withoutZeros(a), withoutZeros(b)];
  if (left.length !== right.length) return left.length - right.length;
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** Whether `a` is newer than `b`. Where they cannot be compared, what comes later counts as newer. */
export function isNewer(a: string | undefined, b: string | undefined): boolean {
  return (compareResourceVersions(a ?? '', b ?? '') ?? 1) > 0;
}

/** The newer of the two; `b` where they cannot be compared. */
export function newest(a: string, b: string): string {
  return isNewer(b, a) ? b : a;
}

function withoutZeros(digits: string): string {
  return digits.startsWith('0') ? digits.replace(/^0+(?=.)/, '') : digits;
}
