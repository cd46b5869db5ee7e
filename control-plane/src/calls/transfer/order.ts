import type { ReferOrder } from '../../kamailio/node.js';
import { type Call, callerLeg } from '../call.js';
import type { Transfer } from './transfer.js';

/** The carrier's side of a call. */
export function targetOf({ dialog, direction }: Call) {
  if (dialog === undefined) return undefined;
  return callerLeg(direction) === 'carrier' ? dialog.caller : dialog.callee;
}

/**
 * A REFER to the carrier's side of a call, in the name of Retell's.
 *
 * @returns undefined where the record has no dialog
 */
export function orderOf(
  call: Call,
  transfer: Transfer,
  credentials: ReferOrder['headers'],
  attempt: ReferOrder['attempt'],
): ReferOrder | undefined {
  const { dialog } = call;
  if (dialog === undefined) return undefined;
  const caller = { ...dialog.caller, uri: dialog.from_uri };
  const callee = { ...dialog.callee, uri: dialog.to_uri };
  const toCaller = callerLeg(call.direction) === 'carrier';
  return {
    callId: call.id,
    transferId: transfer.id,
    sipCallId: call.sip_call_id ?? '',
    to: toCaller ? caller : callee,
    from: toCaller ? callee : caller,
    toCaller,
    headers: [...(transfer.headers ?? []), ...credentials],
    attempt,
    timeoutS: transfer.timeout_s,
  };
}
