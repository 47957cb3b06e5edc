/** How long the long tests are, and how they begin. `make faults` prints them; each can be set from outside. */

export const SEED = Number(process.env['FAULTS_SEED'] ?? 1);

/** The soak; the other tests that only wait take their part of it, so that MINUTES shortens all. */
export const MINUTES = Number(process.env['MINUTES'] ?? 30);

/** The long outage: 5 minutes in a full run. */
export const OUTAGE_MS = Math.min(300_000, MINUTES * 10_000);

/** Histories on the API server. */
export const HISTORIES = Number(process.env['HISTORIES'] ?? 500);

/** The flood. */
export const FLOOD_MODULES = Number(process.env['FLOOD_MODULES'] ?? 1_000);

export const LONG_TEST_MS = 2 * 60 * 60_000;
