import type { ByeResult, EndedBy, Leg } from './call.js';

/** How long the parts of a call took, in ms; undefined for what did not happen, or is not known. */
export interface Delays {
  /**
   * Session request delay (RFC 6076 section 4.3): from the INVITE to the first provisional response above 100, or to
   * the final one where none came.
   */
  srd_ms: number | undefined;
  /** From the INVITE to the 200. */
  setup_ms: number | undefined;
  /** Session duration time (RFC 6076 section 4.5): from the answer to the end. */
  duration_ms: number | undefined;
  /**
   * Session disconnect delay (RFC 6076 section 4.4): from the BYE to its final response, where the BYEs are the proxy's
   * the longer of the two. One of them without an answer has none.
   */
  sdd_ms: number | undefined;
}

/** What delays are made of: times in ms since 1970. */
export interface Times {
  invited_at: number | undefined;
  ringing_at: number | undefined;
  answered_at: number | undefined;
  ended_at: number | undefined;
  ended_by: EndedBy | undefined;
  /** final status of the INVITE */
  sip_status: number | undefined;
  /** BYEs of the proxy's own */
  bye: Record<Leg, ByeResult>;
  /** final response to a side's own BYE */
  bye_confirmed_at: number | undefined;
}

export function delaysOf(times: Times): Delays {
  const { invited_at, ringing_at, answered_at, ended_at, sip_status } = times;
  // A provisional response may be overtaken by the 200.
  const responses = [ringing_at, answered_at].filter((at) => at !== undefined);
  const refused_at = answered_at === undefined && sip_status !== undefined ? ended_at : undefined;
  return {
    srd_ms: between(invited_at, responses.length > 0 ? Math.min(...responses) : refused_at),
    setup_ms: between(invited_at, answered_at),
    duration_ms: between(answered_at, ended_at),
    sdd_ms: disconnectDelay(times),
  };
}

function disconnectDelay({ ended_at, ended_by, bye, bye_confirmed_at }: Times): number | undefined {
  if (ended_by === 'carrier' || ended_by === 'retell') return between(ended_at, bye_confirmed_at);
  const sent = [bye.carrier, bye.retell].filter(({ sent_at }) => sent_at !== undefined);
  const delays = sent.map(({ sent_at, answered_at }) => between(sent_at, answered_at));
  const known = delays.filter((ms) => ms !== undefined);
  return known.length > 0 && known.length === sent.length ? Math.max(...known) : undefined;
}

/** Exact to a microsecond, as Kamailio tells time. */
function between(from: number | undefined, to: number | undefined): number | undefined {
  if (from === undefined || to === undefined) return undefined;
  return Math.max(0, Math.round((to - from) * 1000) / 1000);
}
