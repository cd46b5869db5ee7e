import { iso, isoOrNull } from '../iso.js';
import { type Transfer, transferStateOf } from './transfer.js';

/** A transfer as the API shows it: times in ISO 8601, null for what is not known. */
export function transferView(transfer: Transfer) {
  const { id, source, by, to, refer_to, on_failure, warnings, end, told } = transfer;
  return {
    id,
    state: transferStateOf(transfer),
    source,
    by,
    to,
    refer_to: refer_to === '' ? null : refer_to,
    on_failure,
    requested_at: iso(transfer.requested_at),
    accepted_at: isoOrNull(transfer.accepted_at),
    trying_at: isoOrNull(transfer.trying_at),
    ringing_at: isoOrNull(transfer.ringing_at),
    ended_at: isoOrNull(end?.at),
    status: end?.status ?? null,
    reason: end?.reason ?? null,
    agent_told: told === undefined ? null : told.outcome === 'told',
    warnings,
  };
}
