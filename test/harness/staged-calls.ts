import { dial, dialOut, recordOf, type Scene } from './scene.js';
import type { IncomingCall, IncomingRequest, OutgoingCall, SipCall, SipPeer } from './sip-peer.js';
import { NUMBER } from './stack.js';

/** How a peer answers a BYE: with a status, or not at all. */
export type ByeAnswer = number | 'silence';

/** A call that was brought into a state, with the scripts of both ends in hand. */
export interface StagedCall {
  caller: OutgoingCall;
  callee: IncomingCall;
  /** The call's id. */
  id: string;
}

export type Direction = 'inbound' | 'outbound';

/** Places calls side by side in one scene, each with a script of its own for the callee. */
export class Stage {
  readonly #scripts = new Map<string, (call: IncomingCall) => void>();

  constructor(readonly scene: Scene) {
    for (const peer of [scene.carrier, scene.retell]) peer.onInvite = (call) => this.#arrived(call);
  }

  /** The callee has the INVITE and has answered 100, or nothing at all. */
  async trying(direction: Direction = 'inbound', { silent = false } = {}): Promise<StagedCall> {
    const { caller, arrived } = this.#place(direction);
    const callee = await arrived;
    if (!silent) callee.ring(100);
    const { id } = await recordOf(this.scene.stack, caller.callId, 'routing');
    return { caller, callee, id };
  }

  async ringing(direction: Direction = 'inbound', number?: string): Promise<StagedCall> {
    const { caller, arrived } = this.#place(direction, number);
    const callee = await arrived;
    callee.ring();
    await caller.response(180);
    const { id } = await recordOf(this.scene.stack, caller.callId, 'ringing');
    return { caller, callee, id };
  }

  /** @param options.number of ours; default: `NUMBER` */
  async answered(
    direction: Direction = 'inbound',
    { ack = true, number }: { ack?: boolean; number?: string } = {},
  ): Promise<StagedCall> {
    const staged = await this.ringing(direction, number);
    staged.callee.answer();
    await staged.caller.answered({ ack });
    if (ack) await staged.callee.acked;
    await recordOf(this.scene.stack, staged.caller.callId, 'answered');
    return staged;
  }

  #place(direction: Direction, number = NUMBER): { caller: OutgoingCall; arrived: Promise<IncomingCall> } {
    const caller = direction === 'inbound' ? dial(this.scene, number) : dialOut(this.scene, { from: number });
    const arrived = new Promise<IncomingCall>((resolve) => {
      this.#scripts.set(caller.callId, resolve);
    });
    return { caller, arrived };
  }

  #arrived(call: IncomingCall): void {
    this.#scripts.get(call.callId)?.(call);
    this.#scripts.delete(call.callId);
  }
}

/** Has a side answer BYEs like this from now on. */
export function answerByesWith(call: SipCall, answer: ByeAnswer): void {
  call.on('BYE', (request: IncomingRequest) => {
    if (answer !== 'silence') request.reply(answer);
  });
}

/** How many requests of this method a peer got in a call, without retransmissions. */
export function received(peer: SipPeer, method: string, { callId }: { callId: string }): number {
  const branches = peer.trace
    .filter(
      ({ direction, message }) =>
        direction === 'in' && message.method === method && message.callId === callId,
    )
    .map(({ message }) => message.list('via')[0]);
  return new Set(branches).size;
}
