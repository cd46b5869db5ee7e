import { isRetellCallId, type RetellCall, readRetellCall } from './call-object.js';

/** What Retell posts when an agent calls a custom function (retell.md 11). */
export interface FunctionCall {
  /** Undefined where neither the body nor the arguments name a call. */
  call: RetellCall | undefined;
  args: Record<string, unknown>;
}

/**
 * Reads the body: `{name, call, args}`, or with "Payload: args only" the bare arguments, among which `call_id` may stand.
 */
export function readFunctionCall(body: Record<string, unknown>): FunctionCall {
  const { call, args } = body;
  if (typeof args === 'object' && args !== null && !Array.isArray(args)) {
    const given = args as Record<string, unknown>;
    return { call: readRetellCall(call) ?? callNamedIn(given), args: given };
  }
  return { call: readRetellCall(call) ?? callNamedIn(body), args: body };
}

function callNamedIn({ call_id }: Record<string, unknown>): RetellCall | undefined {
  return isRetellCallId(call_id) ? { call_id, call_status: 'ongoing' } : undefined;
}
