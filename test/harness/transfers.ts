import { eventually } from './await.js';
import type { IncomingRequest, SipCall, SipMessage } from './sip-peer.js';
import type { Stack } from './stack.js';
import type { Direction, StagedCall } from './staged-calls.js';

/** Where calls are transferred to. */
export const TARGET = '+14155550188';

export interface NotifyOptions {
  /** Default: active until a final status. */
  subscription?: string;
  /** `id` of Event. */
  id?: number;
  /** In place of the sipfrag of the status. */
  body?: string;
}

/** The ends of a call by what they are. */
export function sidesOf(
  { caller, callee }: Pick<StagedCall, 'caller' | 'callee'>,
  direction: Direction,
): { carrier: SipCall; retell: SipCall } {
  return direction === 'inbound' ? { carrier: caller, retell: callee } : { carrier: callee, retell: caller };
}

/** The carrier tells how the transfer goes; resolves with the answer. */
export function notify(
  carrier: SipCall,
  status: number | undefined,
  options: NotifyOptions = {},
): Promise<SipMessage> {
  const { id, subscription = (status ?? 0) < 200 ? 'active;expires=60' : 'terminated;reason=noresource' } =
    options;
  const body = options.body ?? (status === undefined ? undefined : `SIP/2.0 ${status} Whatever\r\n`);
  return carrier.request('NOTIFY', {
    headers: [
      ['Event', id === undefined ? 'refer' : `refer;id=${id}`],
      ['Subscription-State', subscription],
      ...(body === undefined ? [] : [['Content-Type', 'message/sipfrag;version=2.0'] as [string, string]]),
    ],
    ...(body === undefined ? {} : { body }),
  });
}

/** The carrier's next REFER, which waits for its answer. */
export function nextRefer(carrier: SipCall): Promise<IncomingRequest> {
  return new Promise((resolve) => carrier.on('REFER', resolve));
}

/** Posts a transfer; fails where it is not taken. */
export async function begin(
  { api }: Pick<Stack, 'api'>,
  callId: string,
  body: Record<string, unknown> = {},
): Promise<{ id: string; state: string; warnings: string[] }> {
  const reply = await api.post(`/v1/calls/${callId}/transfers`, { to: TARGET, ...body });
  if (reply.status !== 202) throw new Error(`${reply.status} ${JSON.stringify(reply.body)}`);
  return reply.body;
}

/** The transfer once it has ended. */
export async function endOf({ api }: Pick<Stack, 'api'>, callId: string, transferId: string) {
  return eventually(`the end of transfer ${transferId}`, async () => {
    const { body } = await api.get(`/v1/calls/${callId}/transfers/${transferId}`);
    return body.ended_at === null ? undefined : body;
  });
}

/** The transfer once it is in this state. */
export async function inState(
  { api }: Pick<Stack, 'api'>,
  callId: string,
  transferId: string,
  state: string,
) {
  return eventually(`transfer ${transferId} in state ${state}`, async () => {
    const { body } = await api.get(`/v1/calls/${callId}/transfers/${transferId}`);
    return body.state === state ? body : undefined;
  });
}
