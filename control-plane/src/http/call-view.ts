import { type Call, stateOf } from '../calls/call.js';
import { iso, isoOrNull } from './iso.js';
import { transferView } from './transfer-view.js';

/** A call as the API shows it: times in ISO 8601, null for what is not known. */
export function callView(call: Call) {
  return {
    id: call.id,
    state: stateOf(call),
    direction: call.direction,
    carrier: call.carrier ?? null,
    gateway: call.gateway ?? null,
    node: call.node || null,
    number: call.number ?? null,
    from: call.from ?? null,
    to: call.to ?? null,
    sip_call_id: call.sip_call_id ?? null,
    retell_call_id: call.retell_call_id ?? null,
    agent_id: call.agent_id ?? null,
    created_at: iso(call.created_at),
    invited_at: isoOrNull(call.invited_at),
    ringing_at: isoOrNull(call.ringing_at),
    answered_at: isoOrNull(call.answered_at),
    max_duration_s: call.max_duration_s ?? null,
    ended_at: isoOrNull(call.ended_at),
    ended_by: call.ended_by ?? null,
    sip_status: call.sip_status ?? null,
    reason: call.reason ?? null,
    retell_ended_at: isoOrNull(call.retell_ended_at),
    retell_disconnection_reason: call.retell_disconnection_reason ?? null,
    retell_stopped_at: isoOrNull(call.retell_stopped_at),
    transfers: call.transfers.map(transferView),
    transferred_from: call.transferred_from ?? null,
    transferred_to: call.transferred_to,
    timeline: call.timeline.map((entry) => ({ ...entry, at: iso(entry.at) })),
  };
}
