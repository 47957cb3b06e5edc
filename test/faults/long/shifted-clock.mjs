/**
 * Loaded into the operator before anything else (`node --import`): its wall clock is off by the milliseconds in a file, which a test changes
 * while it runs. The monotonic clock and timers go on as they are, as on a host whose clock is set.
 */
import { readFileSync } from 'node:fs';

const file = process.env.CLOCK_OFFSET_FILE;
const RealDate = Date;
let offsetMs = 0;
let readAt = -Infinity;

function now() {
  if (performance.now() - readAt > 20) {
    readAt = performance.now();
    offsetMs = Number(readFileSync(file, 'utf8')) || 0;
  }
  return RealDate.now() + offsetMs;
}

globalThis.Date = class extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [now()] : args));
  }
  static now() {
    return now();
  }
};
