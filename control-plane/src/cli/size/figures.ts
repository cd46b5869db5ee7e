/**
 * What calls take, as measured: `npm run bench -- memory`, whose figures are in docs/operations/performance.md. A test
 * compares these with those. Times are CPU time, of answered calls with both BYEs and their records.
 */

/** Of Kamailio's shared memory, in bytes. */
export const KAMAILIO = {
  /** With no call at all. */
  base: 5_000_000,
  /** A call that is up. */
  dialog: 3700,
  /** A call that rings: its dialog and its transaction. */
  ringing: 23_000,
  /** Each call a second that is set up and ended: transactions are kept some 5 s after their end. */
  perCallPerSecond: 190_000,
  /** A call in the 5 s after a hangup by command, on top (docs/operations/hangup.md). */
  hangup: 13_000,
  /** An event that waits for Redis. */
  event: 1024,
};

/** CPU time of one call, in ms, at 200 calls/s on a machine that had other work too. */
export const CPU_MS = { kamailio: 0.6, controlPlane: 0.8, redis: 0.35 };

/** Of Redis, in bytes, where `hash-max-listpack-value` is 1024. */
export const REDIS = {
  base: 2_000_000,
  /** A call that is up: its record and what finds it. */
  active: 1800,
  /** A call that has ended: its record and what finds it, and its detail record, for `calls.retention_days`. */
  kept: 1850 + 2020,
  /** Its raw events, for `RAW_EVENTS_KEPT_S`. */
  rawEvents: 2030,
  /** The events that others are told of, all that are kept. */
  publicEvents: 11_000_000,
};

/** Events of one answered call: invite, ringing, answered, ended, bye_answered. */
export const EVENTS_PER_CALL = 5;
/** Datagrams that Kamailio gets of one answered call: INVITE, 100, 180, 200, ACK, BYE, 200. */
export const DATAGRAMS_PER_CALL = 7;
/** What the kernel counts for one of 700 to 1,500 bytes in a receive buffer, in bytes (Linux 6.18). */
export const DATAGRAM_BYTES = 2304;
