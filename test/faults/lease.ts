/** Flags for a lease that outlasts the start of an API server on a very busy machine. */
export const PATIENT_LEASE = [
  '--leader-elect-lease-duration=60s',
  '--leader-elect-renew-deadline=50s',
  '--leader-elect-retry-period=1s',
];
