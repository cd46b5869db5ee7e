import type { FastifyReply } from 'fastify';

/**
 * Every error that the API answers with (RFC 9457): its code is stable, its title and detail are for
 * people. docs/reference/errors.md has a line for each.
 */
export const PROBLEMS = {
  bad_request: { status: 400, title: 'The request is not well-formed' },
  validation_failed: { status: 400, title: 'The request has a field that is not right' },
  unauthorized: { status: 401, title: 'A valid bearer token is needed' },
  invalid_signature: { status: 401, title: 'The webhook is not signed with a key of ours' },
  forbidden: { status: 403, title: "The token's scopes do not allow this" },
  source_not_allowed: { status: 403, title: 'Webhooks do not come from there' },
  destination_not_allowed: { status: 403, title: 'The configuration does not let calls go there' },
  call_not_found: { status: 404, title: 'There is no such call' },
  carrier_not_found: { status: 404, title: 'There is no such carrier' },
  gateway_not_found: { status: 404, title: 'There is no such gateway' },
  hangup_job_not_found: { status: 404, title: 'There is no such hangup job' },
  transfer_not_found: { status: 404, title: 'The call has no such transfer' },
  endpoint_not_found: { status: 404, title: 'There is no such endpoint of webhooks' },
  event_not_found: { status: 404, title: 'There is no such event' },
  webhook_not_found: { status: 404, title: 'There is no such webhook' },
  not_reconciled_yet: { status: 404, title: 'The calls have not been compared yet' },
  not_found: { status: 404, title: 'There is nothing at this path' },
  call_not_answered: { status: 409, title: 'The call is not answered yet' },
  call_not_ended: { status: 409, title: 'The call is still up' },
  call_ended: { status: 409, title: 'The call is over' },
  transfer_in_progress: { status: 409, title: 'Another transfer of the call is under way' },
  endpoint_disabled: { status: 409, title: 'The endpoint is disabled' },
  hangup_job_finished: { status: 409, title: 'The hangup job is over' },
  hangup_jobs_full: { status: 409, title: 'As many hangup jobs run as may' },
  retell_not_configured: { status: 409, title: 'There is no key for Retell' },
  request_timeout: { status: 408, title: 'The request came too slowly' },
  payload_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body has to be JSON' },
  headers_too_large: { status: 431, title: 'The headers are too large' },
  config_invalid: { status: 422, title: 'The configuration file cannot be used' },
  idempotency_key_reused: { status: 422, title: 'The key stands for another request' },
  transfer_unsupported: { status: 422, title: 'The carrier of the call takes no transfer' },
  transfers_limited: { status: 429, title: 'As many transfers have begun in this minute as may' },
  retell_limited: { status: 429, title: 'Retell takes no more calls for now' },
  internal_error: { status: 500, title: 'Something went wrong inside the control plane' },
  retell_refused: { status: 502, title: 'Retell refused the call' },
  event_streams_full: { status: 503, title: 'As many streams of events are open as may' },
  node_unavailable: { status: 503, title: 'The Kamailio node of the call does not answer' },
  node_unknown: { status: 503, title: 'The Kamailio node of the call is not configured' },
  webhooks_full: { status: 503, title: 'As many webhooks wait as may' },
  redis_unavailable: { status: 503, title: 'Redis does not answer' },
  retell_unknown_outcome: { status: 504, title: 'Retell did not say whether it has the call: it may come' },
} as const;

export type ProblemCode = keyof typeof PROBLEMS;

/** Seconds after which another try is worth it, by status. */
const RETRY_AFTER_S: Readonly<Record<number, number>> = { 429: 60, 503: 2 };

/** An error that a route answers with as it is. */
export class Problem extends Error {
  override readonly name = 'Problem';

  constructor(
    readonly code: ProblemCode,
    detail: string,
    /** Members of their own for this problem, such as the fields that are wrong. */
    readonly extensions: Record<string, unknown> = {},
  ) {
    super(detail);
  }
}

/** The problem as JSON. @param instance id of the request */
export function problemBody({ code, message, extensions }: Problem, instance: string) {
  const { status, title } = PROBLEMS[code];
  return {
    type: `urn:retell-sip-proxy:problem:${code}`,
    title,
    status,
    detail: message,
    code,
    instance,
    ...extensions,
  };
}

/** Sends the problem as application/problem+json. */
export async function sendProblem(reply: FastifyReply, problem: Problem): Promise<FastifyReply> {
  const { status } = PROBLEMS[problem.code];
  if (status === 401 && !reply.hasHeader('www-authenticate')) reply.header('www-authenticate', 'Bearer');
  const retryAfterS = RETRY_AFTER_S[status];
  if (retryAfterS !== undefined) reply.header('retry-after', retryAfterS);
  return reply.code(status).type('application/problem+json').send(problemBody(problem, reply.request.id));
}
