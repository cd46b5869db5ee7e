import { eventually } from './await.js';
import { inboundBurst } from './bursts.js';
import { answering } from './outbound.js';
import type { Scene } from './scene.js';
import type { SipPeer } from './sip-peer.js';
import type { Stack } from './stack.js';

/** The Call-IDs of calls that a carrier placed to a number, once each is answered and its record says so. */
export async function callsUp(scene: Scene, calls: number, number: string): Promise<string[]> {
  answering(scene.retell);
  const { up, refused } = await inboundBurst(scene, calls, number);
  if (refused.length > 0) throw new Error(`${refused.length} of ${calls} calls were refused`);
  const callIds = up.map(({ callId }) => callId).sort();
  await eventually(`${calls} records of answered calls to ${number}`, async () => {
    const path = `/v1/calls?state=answered&limit=1000&number=${encodeURIComponent(number)}`;
    const { body } = await scene.stack.api.get(path);
    const answered = new Set(body.items.map((call: { sip_call_id: string }) => call.sip_call_id));
    return callIds.every((callId) => answered.has(callId));
  });
  return callIds;
}

/** Call-IDs of the BYEs that came to a peer, one entry for each BYE, retransmissions left out. */
export function byesTo(peer: SipPeer): string[] {
  return peer.trace
    .filter(({ direction, retransmission }) => direction === 'in' && !retransmission)
    .map(({ message }) => message)
    .filter((message) => message.kind === 'request' && message.method === 'BYE')
    .map(({ callId }) => callId)
    .sort();
}

/** The job once it is over. */
export async function jobOver({ api }: Stack, id: string) {
  return eventually(
    `the end of hangup job ${id}`,
    async () => {
      const { status, body } = await api.get(`/v1/hangups/${id}`);
      return status === 200 && body.state !== 'running' && body;
    },
    30_000,
  );
}
