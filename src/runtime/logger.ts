import pino from 'pino';

export type Logger = pino.Logger;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

export interface LoggerOptions {
  readonly level?: LogLevel;
  /** Where lines go; the process's standard output when absent. */
  readonly destination?: pino.DestinationStream;
}

/** How an error stands in a log line. */
export interface LoggedError {
  readonly type: string;
  /** The error's message with those of its causes, outermost first. */
  readonly message: string;
  readonly code?: string | number;
  readonly stack?: string;
}

/** Causes followed from one error; a longer chain is a loop. */
const DEEPEST_CAUSE = 8;

/**
 * Gives an error as its type, its message with those of its causes, its code and its stack, and nothing else:
 * the library's own serializer copies every property, and a request or a header in one of them may hold a token.
 */
export function serializeError(error: unknown): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const code = codeOf(error);
  return {
    type: error.name,
    message: describeError(error),
    ...(code === undefined ? {} : { code }),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
  };
}

/** Gives the error's message followed by those of its causes: `cannot renew: connect ECONNREFUSED`. */
export function describeError(error: unknown): string {
  const messages: string[] = [];
  for (let each: unknown = error, depth = 0; each !== undefined && each !== null && depth < DEEPEST_CAUSE; depth++) {
    const message = messageOf(each);
    // Many of our own errors already end with the cause's sentence.
    if (!messages.some((said) => said.includes(message))) messages.push(message);
    each = each instanceof Error ? each.cause : undefined;
  }
  return messages.join(': ');
}

/** Node's failure to connect to a name with several addresses is an AggregateError that has no message of its own. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  if (!(error instanceof AggregateError) || error.errors.length === 0) return error.name;
  return error.errors.map(messageOf).join('; ');
}

/** ApiError says its HTTP status and Node's errors a code; both tell a reader more than the type. */
function codeOf(error: Error): string | number | undefined {
  for (const value of ['code' in error ? error.code : undefined, 'status' in error ? error.status : undefined]) {
    if (typeof value === 'string' || typeof value === 'number') return value;
  }
  return undefined;
}

/**
 * A logger that writes one JSON object a line: `time` (RFC 3339), `level`, `msg`, and the keys given.
 * Messages are constant sentences; what varies goes into keys, so that lines can be counted and searched.
 */
export function createLogger(options: LoggerOptions = {}): Logger {
  return pino(
    {
      level: options.level ?? 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError },
    },
    // Synchronous, because the line that matters most is the one before the process ends.
    options.destination ?? pino.destination({ dest: 1, sync: true }),
  );
}
