/** PromQL of the dashboards: what several of them ask, and the pieces that it is made of. */

export interface Query {
  expr: string;
  legend: string;
}

export const CALLS = 'direction=~"$direction", carrier=~"$carrier"';
export const CARRIER = 'carrier=~"$carrier"';
export const NODE = 'node=~"$node"';

/** Answered, or not answered for a reason that is the callee's (RFC 6076 section 4.7). */
const EFFECTIVE = '200|480|486|600|603';
/** The network's fault, not the callee's: RFC 6076 4.8. */
const INEFFECTIVE = '408|500|503|504';

export function metric(name: string, ...matchers: string[]): string {
  return matchers.length === 0 ? `retell_proxy_${name}` : `retell_proxy_${name}{${matchers.join(', ')}}`;
}

/** Of counters that each replica counts for itself. */
export function perSecond(by: string[], counter: string): string {
  return aggregate('sum', by, `rate(${counter}[$__rate_interval])`);
}

/** For what is rare: a rate a second would be all zeros after the point. */
export function perMinute(by: string[], counter: string): string {
  return `60 * ${perSecond(by, counter)}`;
}

/** Of counters that are Kamailio's own: every replica shows the same ones, and a sum would count them twice. */
export function nodePerMinute(by: string[], counter: string): string {
  return `60 * ${aggregate('max', by, `rate(${counter}[$__rate_interval])`)}`;
}

/**
 * How many in the time shown. A series begins with its first count, of which no increase tells: one that was not there
 * at the beginning counts with its value.
 */
export function inRange(by: string[], counter: string): string {
  const born = `(${counter} unless ${counter} offset $__range)`;
  return aggregate('sum', by, `${born} or increase(${counter}[$__range])`);
}

/** Refused requests are not among all: nothing was tried. */
export function hangupsFailing(): string {
  const tried = metric('hangups_total', 'outcome!="refused"');
  return share([], metric('hangups_total', 'outcome=~"partial|failed"'), tried);
}

/** Of gauges that every replica shows the same, whichever of them has the newest. */
export function same(by: string[], gauge: string): string {
  return aggregate('max', by, gauge);
}

export function total(by: string[], gauge: string): string {
  return aggregate('sum', by, gauge);
}

/** `histogram` with its matchers, without `_bucket`. */
export function quantile(q: number, by: string[], histogram: string): string {
  const buckets = histogram.replace(/^\w+/, '$&_bucket');
  return `histogram_quantile(${q}, ${perSecond(['le', ...by], buckets)})`;
}

export function buckets(histogram: string): string {
  return perSecond(['le'], histogram.replace(/^\w+/, '$&_bucket'));
}

/**
 * A part that has not been counted yet has no series: it stands for 0, or a total failure would show nothing. Where the
 * whole is 0 there is no share.
 */
export function share(by: string[], part: string, whole: string): string {
  const all = perSecond(by, whole);
  return `(${perSecond(by, part)} or 0 * ${all}) / (${all} > 0)`;
}

function resultShare(by: string[], codes: string, of: string[] = []): string {
  const part = metric('call_results_total', CALLS, `code=~"${codes}"`);
  return share(by, part, metric('call_results_total', CALLS, ...of));
}

/** Session establishment ratio, RFC 6076 4.6. Both sides are counted as calls end, so that they are the same calls. */
export function ser(by: string[] = []): string {
  return resultShare(by, '200', ['code!~"3.."']);
}

/** Session establishment effectiveness ratio, RFC 6076 4.7. */
export function seer(by: string[] = []): string {
  return resultShare(by, EFFECTIVE, ['code!~"3.."']);
}

/** Ineffective session attempts, RFC 6076 4.8. */
export function isa(by: string[] = []): string {
  return resultShare(by, INEFFECTIVE);
}

/** Session request delay, RFC 6076 4.3, of calls that were answered. */
export function srd(q: number, by: string[] = []): string {
  return quantile(q, by, metric('session_request_delay_seconds', CALLS, 'outcome="answered"'));
}

export function weekBefore({ expr, legend }: Query): Query {
  return {
    expr: expr.replaceAll('[$__rate_interval]', '[$__rate_interval] offset 1w'),
    legend: `${legend}, week before`,
  };
}

function aggregate(how: 'sum' | 'max', by: string[], expr: string): string {
  return by.length === 0 ? `${how}(${expr})` : `${how} by (${by.join(', ')}) (${expr})`;
}
