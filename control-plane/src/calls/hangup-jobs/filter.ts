import { type Call, type CallState, type Direction, stateOf } from '../call.js';

/** Which open calls a hangup job ends: those that fit every member that is given. */
export interface HangupFilter {
  carrier?: string;
  number?: string;
  agent_id?: string;
  node?: string;
  direction?: Direction;
  state?: Exclude<CallState, 'ended'>;
  /** seconds since the INVITE */
  older_than_s?: number;
  /** our ids */
  call_ids?: readonly string[];
}

/** What a filter looks at in a call; `call_ids` is looked up, not compared. */
export type FilteredCall = Pick<
  Call,
  | 'carrier'
  | 'number'
  | 'agent_id'
  | 'node'
  | 'direction'
  | 'created_at'
  | 'ringing_at'
  | 'answered_at'
  | 'ended_at'
>;

const EXACT = ['carrier', 'number', 'agent_id', 'node', 'direction'] as const;

/** Whether the call fits all that the filter says besides `call_ids`. A call that has ended fits none. */
export function fits(call: FilteredCall, filter: HangupFilter, nowMs: number): boolean {
  const state = stateOf(call);
  return (
    state !== 'ended' &&
    EXACT.every((member) => filter[member] === undefined || call[member] === filter[member]) &&
    (filter.state === undefined || state === filter.state) &&
    (filter.older_than_s === undefined || nowMs - call.created_at >= filter.older_than_s * 1000)
  );
}
