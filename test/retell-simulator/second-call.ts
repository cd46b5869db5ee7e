import type { Header } from '../harness/sip-peer.js';
import type { CallEntry } from './calls.js';
import { type Dialler, placeInvite, ringOut } from './outbound.js';

/** The second call of a transfer, from the agent's number or the user's. */
export interface SecondCall {
  readonly to: string;
  readonly from: string;
  readonly headers: Record<string, string>;
  readonly ringMs: number;
}

/**
 * Transfers a call by a second one to the termination URI (retell.md 4.2). Resolves with the final status of its
 * INVITE. Once it is answered both are up until one of them ends, as Retell stays between them.
 *
 * @param hangUp ends the first call
 */
export async function placeSecondCall(
  dialler: Dialler,
  entry: CallEntry,
  wanted: SecondCall & { terminationUri: string; hangUp: () => void },
): Promise<number> {
  const first = entry.sip;
  if (!first) throw new Error(`call ${entry.call.call_id} is not up`);
  const second = placeInvite(dialler, wanted, wanted.terminationUri, wanted.headers);
  if (!second) return 503;
  let state: 'ringing' | 'up' | 'over' = 'ringing';
  void second.ended.then(() => {
    state = 'over';
  });
  void first.ended.then(() => {
    if (state === 'ringing') second.cancel().catch(() => undefined);
    else if (state === 'up') void second.bye();
  });
  const final = await ringOut(second, wanted.ringMs);
  if (final?.status !== 200) return final?.status ?? 408;
  await second.answered();
  state = 'up';
  entry.bridged = true;
  entry.call.transfer_destination = wanted.to;
  void second.ended.then(wanted.hangUp);
  // The first one's end may have crossed the answer.
  if (entry.sip === undefined) void second.bye();
  return final.status;
}

/** Custom headers of a transfer with the dynamic variables that Retell knows filled in. */
export function filledIn(headers: readonly Header[], { call }: CallEntry): Header[] {
  return headers.map(([name, value]) => [name, value.replaceAll('{{call_id}}', call.call_id)]);
}
