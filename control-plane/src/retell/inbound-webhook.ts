import { callRefIn, textOf } from './call-object.js';
import { metadataOf, type NumberSettings } from './number-settings.js';

/** What Retell asks before it answers a call to an imported number (retell.md 5.4), as far as we use it. */
export interface InboundQuestion {
  /** Retell's id of the call; older versions of the webhook have none. */
  retellCallId: string | undefined;
  /** The agent that is bound to the number at Retell. */
  agentId: string | undefined;
  from: string;
  to: string;
  /** Our id of the call, where Retell hands on the X-Call-Ref that we sent. */
  callRef: string | undefined;
  /** When the webhook was made, in ms since 1970. */
  atMs: number;
}

/** What we answer; every member is optional to Retell. */
export interface InboundAnswer {
  reject?: true;
  override_agent_id?: string;
  override_agent_version?: string | number;
  dynamic_variables?: Record<string, string>;
  metadata?: Record<string, unknown>;
}

/** How a webhook was answered, for the record and the metrics. */
export type InboundOutcome = 'rejected' | 'accepted' | 'unknown_number';

/** Reads `call_inbound`. Retell guarantees none of its members, so each is taken only as what it has to be. */
export function readInboundQuestion(body: {
  event_timestamp?: unknown;
  call_inbound: Record<string, unknown>;
}): InboundQuestion {
  const { call_id, agent_id, from_number, to_number, custom_sip_headers } = body.call_inbound;
  return {
    retellCallId: textOf(call_id),
    agentId: textOf(agent_id),
    from: textOf(from_number) ?? '',
    to: textOf(to_number) ?? '',
    callRef: callRefIn(custom_sip_headers),
    atMs: typeof body.event_timestamp === 'number' ? body.event_timestamp : Date.now(),
  };
}

export function outcomeOf(settings: NumberSettings | undefined): InboundOutcome {
  if (settings === undefined) return 'unknown_number';
  return settings.reject ? 'rejected' : 'accepted';
}

/** The answer from the number's settings. An empty one leaves everything as Retell has it. */
export function inboundAnswer(
  settings: NumberSettings | undefined,
  callRef: string | undefined,
): InboundAnswer {
  if (settings === undefined) return {};
  if (settings.reject) return { reject: true };
  const { agent_id, agent_version, dynamic_variables } = settings;
  const metadata = metadataOf(settings, callRef);
  return {
    ...(agent_id === undefined ? {} : { override_agent_id: agent_id }),
    ...(agent_version === undefined ? {} : { override_agent_version: agent_version }),
    ...(dynamic_variables === undefined ? {} : { dynamic_variables }),
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
  };
}
