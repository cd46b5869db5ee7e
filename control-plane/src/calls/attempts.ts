import type { Call, TimelineEntry } from './call.js';

/** A gateway or fallback that was tried, and how it ended. Times are ms since 1970. */
export interface Attempt {
  /** undefined for Retell's gateways and fallbacks */
  carrier: string | undefined;
  gateway: string;
  /** when it refused, answered or was given up */
  at: number;
  ringing_at: number | undefined;
  /** its final response; 408 for silence, 477 where nothing could be sent, undefined where a hangup was not answered */
  status: number | undefined;
  q850_cause: number | undefined;
  /** the gateway's own text */
  reason: string | undefined;
}

type Attempted = Pick<Call, 'direction' | 'carrier' | 'gateway' | 'timeline'>;

/** Reads a call's attempts, in order, off its timeline. */
export function attemptsOf(call: Attempted): Attempt[] {
  const { timeline } = call;
  const attempts: Attempt[] = [];
  let rang: TimelineEntry | undefined;
  // The last one that was told of, as long as nobody else is known to be tried.
  let refused: Attempt | undefined;
  const add = (entry: TimelineEntry, party: Pick<Attempt, 'carrier' | 'gateway'>, status: unknown) => {
    refused = {
      ...party,
      at: entry.at,
      ringing_at: rang?.gateway === party.gateway ? rang.at : undefined,
      status: status as number | undefined,
      q850_cause: entry.q850_cause as number | undefined,
      reason: entry.reason_text as string | undefined,
    };
    attempts.push(refused);
    rang = undefined;
  };
  const last = lastParty(call);
  for (const entry of timeline) {
    if (entry.type === 'ringing') rang = entry;
    if (entry.type === 'fallback') refused = undefined;
    if (entry.type === 'attempt_failed') {
      const party = { carrier: entry.carrier as string | undefined, gateway: entry.gateway as string };
      add(entry, party, entry.status);
    }
    if (last === undefined) continue;
    if (entry.type === 'answered') add(entry, last, 200);
    // Where the proxy refused the call itself, for a reason of its own, each gateway's refusal was told before.
    const isTold = refused?.gateway === last.gateway && refused.carrier === last.carrier;
    if (entry.type === 'failed' && entry.reason === undefined && !isTold)
      add(entry, last, finalStatus(entry, timeline));
  }
  return attempts;
}

/** Whoever answered, or was tried last. */
function lastParty({ direction, carrier, gateway }: Attempted) {
  return gateway === undefined
    ? undefined
    : { carrier: direction === 'outbound' ? carrier : undefined, gateway };
}

/** The gateway's. That of a call which was hung up is the proxy's word to the caller. */
function finalStatus(failed: TimelineEntry, timeline: readonly TimelineEntry[]): unknown {
  const isHungUp = timeline.some(({ type }) => type === 'cancel_sent' || type === 'cancel_unanswered');
  const answer = timeline.find(({ type }) => type === 'cancel_answered');
  return answer === undefined && !isHungUp ? failed.status : answer?.status;
}
