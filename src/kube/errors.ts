/** What the server tells programs about a request it refused. Source: k8s.io/apimachinery/pkg/apis/meta/v1, StatusDetails. */
export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number;
}

export interface StatusCause {
  /** Machine-readable, e.g. FieldValueInvalid. */
  readonly reason?: string;
  readonly message?: string;
  /** Path in the object, e.g. `spec.template.spec.containers[0].image`. */
  readonly field?: string;
}

export interface ApiErrorInit {
  /** What was attempted, e.g. `create daemonsets kmm/loader`. */
  readonly attempted: string;
  /** HTTP status. */
  readonly status: number;
  readonly reason: string;
  /** The server's sentence. */
  readonly sentence: string;
  readonly details?: StatusDetails;
  readonly retryAfterMs?: number;
}

/**
 * The API server answered, and refused. The message is `<verb> <resource> <namespace/name>: <the server's sentence>`.
 * Nothing of the request's headers is in it.
 */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** HTTP status. */
  readonly status: number;
  /** The Status's reason, e.g. NotFound; made from the HTTP status when the server gave none. */
  readonly reason: string;
  /** The server's sentence alone. */
  readonly sentence: string;
  readonly details: StatusDetails | undefined;
  /** How long the server asks us to wait before another try, milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor({ attempted, status, reason, sentence, details, retryAfterMs }: ApiErrorInit) {
    super(`${attempted}: ${sentence}`);
    this.status = status;
    this.reason = reason;
    this.sentence = sentence;
    this.details = details;
    this.retryAfterMs = retryAfterMs;
  }
}

/** There was no whole answer: refused, reset, timed out, TLS, or something that is no API server. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
  /** Node's, TLS's or undici's code, e.g. ECONNREFUSED. */
  readonly code: string;

  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The connection's settings are missing or wrong: no kubeconfig, no such context, an unreadable file, a bad CA. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** The object, or the kind itself, is not there. */
export function isNotFound(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 404;
}

export function isAlreadyExists(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 409 && error.reason === 'AlreadyExists';
}

/** A precondition (uid, resourceVersion, a field's owner) does not hold. AlreadyExists, also a 409, is not meant. */
export function isConflict(error: unknown): error is ApiError {
  return error instanceof ApiError && ((error.status === 409 && error.reason === 'Conflict') || isOfOtherUid(error));
}

/** The resourceVersion or continue token is older than what the server remembers: list again. */
export function isGone(error: unknown): error is ApiError {
  return error instanceof ApiError && (error.status === 410 || error.reason === 'Expired');
}

export function isForbidden(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 403;
}

/** The object breaks a rule of its kind: sending it again will not help. */
export function isInvalid(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 422 && !isOfOtherUid(error);
}

/** The server does not take this write, by its own rules, a policy's or a webhook's: what it says is for a person to mend. */
export function isRefusal(error: unknown): error is ApiError {
  return isForbidden(error) || isInvalid(error);
}

export function isUnauthorized(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 401;
}

export function isTooManyRequests(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 429;
}

/**
 * A patch with a uid reached another object of the same name. The server calls that an invalid change of metadata.uid,
 * where an update or a deletion with a uid gets a conflict. (A patch of the status of a custom resource it lets pass.)
 */
function isOfOtherUid({ status, details }: ApiError): boolean {
  const causes = details?.causes ?? [];
  // The server says it twice.
  return status === 422 && causes.length > 0 && causes.every(({ field }) => field === 'metadata.uid');
}
