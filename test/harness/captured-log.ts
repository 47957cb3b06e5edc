import { createLogger, type Logger, type LogLevel } from '../../src/runtime/logger.ts';
import { scanLine } from './secret-scan.ts';

export interface CapturedLog {
  readonly log: Logger;
  /** What was logged so far, one object a line. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** The lines as they were written. */
  readonly text: () => string;
}

/** A logger for tests: it is the program's own, and keeps its lines. */
export function captureLog(level: LogLevel = 'debug'): CapturedLog {
  const written: string[] = [];
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => {
    // The first line makes it known that there is a log; all are looked at.
    scanLine(line, written.length === 0);
    written.push(line);
    lines.push(JSON.parse(line));
  };
  return { log: createLogger({ level, destination: { write } }), lines, text: () => written.join('') };
}
