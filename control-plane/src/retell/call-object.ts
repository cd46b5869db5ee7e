/**
 * Retell's call object as far as we use it (retell.md 3). It is read loosely: only id and status have to be there,
 * and what is of another type than it has to be is left out.
 */
export interface RetellCall {
  /** A secret until the call is over: never log it. */
  call_id: string;
  /** `registered`, `ongoing`, `ended`, `error`, `not_connected`, or what Retell comes to add. */
  call_status: string;
  agent_id?: string;
  direction?: string;
  from_number?: string;
  to_number?: string;
  metadata?: Record<string, unknown>;
  custom_sip_headers?: Record<string, unknown>;
  retell_llm_dynamic_variables?: Record<string, unknown>;
  /** ms since 1970; only where the call was connected */
  start_timestamp?: number;
  /** ms since 1970 */
  end_timestamp?: number;
  disconnection_reason?: string;
}

/** A call id becomes the user part of a SIP URI: nothing else may come with it. */
const CALL_ID = /^[\w-]{1,128}$/;
/** Names under which the header of our id arrives: Retell's documents disagree on the prefix (retell.md 1.7). */
const CALL_REF_NAMES = new Set(['x-call-ref', 'call-ref']);
/** The header may be a stranger's, who dials Retell past us: only what looks like an id of ours is one. */
const CALL_REF = /^[\w-]{1,64}$/;
const TEXT_LENGTH = 256;

const TEXTS = ['agent_id', 'direction', 'from_number', 'to_number', 'disconnection_reason'] as const;
const TIMES = ['start_timestamp', 'end_timestamp'] as const;
const OBJECTS = ['metadata', 'custom_sip_headers', 'retell_llm_dynamic_variables'] as const;

/** @returns undefined where it is no call object */
export function readRetellCall(value: unknown): RetellCall | undefined {
  if (!isObject(value) || !isRetellCallId(value.call_id)) return undefined;
  const call: RetellCall = { call_id: value.call_id, call_status: textOf(value.call_status) ?? '' };
  for (const name of TEXTS) {
    const text = textOf(value[name]);
    if (text !== undefined) call[name] = text;
  }
  for (const name of TIMES) {
    const time = value[name];
    if (typeof time === 'number' && time > 0) call[name] = time;
  }
  for (const name of OBJECTS) {
    const object = value[name];
    if (isObject(object)) call[name] = object;
  }
  return call;
}

export function isRetellCallId(value: unknown): value is string {
  return typeof value === 'string' && CALL_ID.test(value);
}

/** Our id of a call, and where in Retell's call object it stands. */
export interface CallRef {
  id: string;
  place: 'metadata' | 'header' | 'dynamic_variable';
}

/**
 * Our id of the call, where it went to Retell as metadata or as the header X-Call-Ref and came back, as a header or as
 * the dynamic variable that Retell makes of it.
 */
export function callRefOf(
  call: Pick<RetellCall, 'metadata' | 'custom_sip_headers' | 'retell_llm_dynamic_variables'>,
): CallRef | undefined {
  const places = {
    metadata: refOf(call.metadata?.call_ref),
    header: callRefIn(call.custom_sip_headers),
    dynamic_variable: callRefIn(call.retell_llm_dynamic_variables),
  };
  for (const place of ['metadata', 'header', 'dynamic_variable'] as const) {
    const id = places[place];
    if (id !== undefined) return { id, place };
  }
  return undefined;
}

/** Our id of the call among headers, or what Retell makes of them: in any case, with and without `x-`. */
export function callRefIn(headers: unknown): string | undefined {
  if (!isObject(headers)) return undefined;
  return refOf(Object.entries(headers).find(([name]) => CALL_REF_NAMES.has(name.toLowerCase()))?.[1]);
}

function refOf(value: unknown): string | undefined {
  const text = textOf(value)?.trim();
  return text !== undefined && CALL_REF.test(text) ? text : undefined;
}

/** Text that is there and short enough to be kept. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= TEXT_LENGTH ? value : undefined;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
