import type { Attempt } from './attempts.js';
import { type Call, stateOf } from './call.js';
import { explain } from './explanation.js';
import { iso, isoOrNull } from './iso.js';
import type { RetellDetails } from './retell-details.js';
import { transferView } from './transfer/transfer-view.js';

/** A call as the API shows it: times in ISO 8601, null for what is not known. */
export function callView(call: Call) {
  return {
    ...callSummary(call),
    timeline: call.timeline.map((entry) => ({ ...entry, at: iso(entry.at) })),
  };
}

/** All of it but the timeline. */
export function callSummary(call: Call) {
  return {
    id: call.id,
    state: stateOf(call),
    direction: call.direction,
    source: call.source ?? null,
    carrier: call.carrier ?? null,
    gateway: call.gateway ?? null,
    node: call.node || null,
    number: call.number ?? null,
    from: call.from ?? null,
    to: call.to ?? null,
    sip_call_id: call.sip_call_id ?? null,
    retell_call_id: call.retell_call_id ?? null,
    retell_matched_by: call.retell_matched_by ?? null,
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
    q850_cause: call.q850_cause ?? null,
    reason_text: call.reason_text ?? null,
    codec: call.codec ?? null,
    srd_ms: call.srd_ms ?? null,
    setup_ms: call.setup_ms ?? null,
    duration_ms: call.duration_ms ?? null,
    sdd_ms: call.sdd_ms ?? null,
    attempts: call.attempts.map(attemptView),
    retell_ended_at: isoOrNull(call.retell_ended_at),
    retell_disconnection_reason: call.retell_disconnection_reason ?? null,
    retell_stopped_at: isoOrNull(call.retell_stopped_at),
    retell: retellView(call.retell),
    erased_at: isoOrNull(call.erased_at),
    explanation: explain(call) ?? null,
    transfers: call.transfers.map(transferView),
    transferred_from: call.transferred_from ?? null,
    transferred_to: call.transferred_to,
  };
}

function retellView(details: RetellDetails) {
  return {
    agent_name: details.agent_name ?? null,
    agent_version: details.agent_version ?? null,
    duration_ms: details.duration_ms ?? null,
    cost_cents: details.cost_cents ?? null,
    latency: details.latency ?? null,
    call_successful: details.call_successful ?? null,
    in_voicemail: details.in_voicemail ?? null,
    user_sentiment: details.user_sentiment ?? null,
    call_summary: details.call_summary ?? null,
    custom_analysis_data: details.custom_analysis_data ?? null,
    recording_url: details.recording_url ?? null,
    recording_multi_channel_url: details.recording_multi_channel_url ?? null,
    public_log_url: details.public_log_url ?? null,
    transcript: details.transcript ?? null,
  };
}

function attemptView(attempt: Attempt) {
  return {
    carrier: attempt.carrier ?? null,
    gateway: attempt.gateway,
    at: iso(attempt.at),
    ringing_at: isoOrNull(attempt.ringing_at),
    status: attempt.status ?? null,
    q850_cause: attempt.q850_cause ?? null,
    reason: attempt.reason ?? null,
  };
}
