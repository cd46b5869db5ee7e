import { eventually } from './await.js';
import { dialOut, type Scene } from './scene.js';
import type { OutgoingCall } from './sip-peer.js';
import type { Stack } from './stack.js';

/** The number of whoever calls in `dial` of a scene. */
export const CALLER = '+14155550123';

/** The call's record once it is tied to the call that it continues. */
export async function tiedRecord({ api }: Stack, callId: string) {
  return eventually(`a first call in the record of ${callId}`, async () => {
    const { status, body } = await api.get(`/v1/calls/sip:${encodeURIComponent(callId)}`);
    return status === 200 && body.transferred_from !== null && body;
  });
}

/** Retell's second call with the number of the caller, as `show_transferee_as_caller` makes it. */
export function dialAsCaller(
  scene: Scene,
  { from = CALLER, headers = [] }: { from?: string; headers?: [string, string][] } = {},
): OutgoingCall {
  const identity: [string, string] = ['P-Asserted-Identity', `<${scene.retell.uri(from)}>`];
  return dialOut(scene, { from, headers: [identity, ...headers] });
}
