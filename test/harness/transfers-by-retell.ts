import { eventually } from './await.js';
import { carrierAt } from './outbound.js';
import { startScene } from './scene.js';
import type { Header, SipCall, SipMessage } from './sip-peer.js';
import type { TestLike } from './stack.js';
import { Stage, type StagedCall } from './staged-calls.js';
import { TARGET } from './transfers.js';

/** A stage whose one carrier has this transfer profile and these keys. */
export async function startStage(
  t: TestLike,
  profile: Record<string, unknown> = {},
  keys: Record<string, unknown> = {},
  transfers: Record<string, unknown> = {},
): Promise<Stage> {
  const scene = await startScene(t, {
    config: ({ carrier }) => ({
      carriers: [carrierAt('first', carrier, { transfer: profile, ...keys })],
      transfers,
    }),
  });
  return new Stage(scene);
}

/** Retell sends a REFER of its own; resolves with the answer. */
export function refer(
  retell: SipCall,
  headers: readonly Header[] = [['Refer-To', `<tel:${TARGET}>`]],
): Promise<SipMessage> {
  return retell.request('REFER', { headers });
}

/** The one transfer of a call, once `ready` holds. */
export async function transferOf(
  { scene }: Stage,
  { id }: StagedCall,
  ready: (transfer: Record<string, unknown>) => boolean = ({ ended_at }) => ended_at !== null,
) {
  return eventually('the transfer', async () => {
    const { body } = await scene.stack.api.get(`/v1/calls/${id}`);
    const transfer = body.transfers.at(-1);
    return transfer !== undefined && ready(transfer) ? transfer : undefined;
  });
}
