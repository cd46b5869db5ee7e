import type { Hangups } from '../calls/due/deadline.js';
import type { DueKind } from '../calls/due/kinds.js';
import { FollowUp } from '../calls/transfer/follow-up.js';
import { nameOfPiece } from '../calls/transfer/tracker.js';
import { Transfers, type TransfersOptions } from '../calls/transfer/transfers.js';
import { UnfinishedTransfers } from '../calls/transfer/unfinished.js';
import type { EventBacklog } from '../kamailio/event-backlog.js';
import type { Metrics } from '../metrics/metrics.js';
import type { RetellApi } from '../retell/api.js';
import { RetellError } from '../retell/errors.js';

export interface TransfersParts extends Omit<TransfersOptions, 'begun'> {
  hangups: Hangups;
  backlog: EventBacklog;
  retell: RetellApi;
  metrics: Metrics;
}

type TransferWork = Extract<DueKind, `transfer_${string}`>;

/** Longest wait for Retell to tell its agent something, in ms. */
const TELL_MS = 3000;
/** Retell's answers that another try does not change: the call is not ongoing, or the key is wrong. */
const FINAL = new Set([400, 401, 402, 403, 404, 422]);

/** Puts together what transfers calls, and the due work of it. */
export function createTransfers(parts: TransfersParts): {
  transfers: Transfers;
  handlers: Record<TransferWork, (piece: string) => Promise<void>>;
} {
  const { retell, metrics } = parts;
  const transfers = new Transfers({ ...parts, begun: () => metrics.transfers.reached('requested') });
  const unfinished = new UnfinishedTransfers(parts);
  const followUp = new FollowUp({
    ...parts,
    tellAgent: async (retellCallId, text) => {
      try {
        await retell.tellAgent(retellCallId, text, { timeoutMs: TELL_MS });
        return { outcome: 'told' };
      } catch (error) {
        if (!(error instanceof RetellError)) throw error;
        const final =
          error.code === 'not_configured' || (error.code === 'refused' && FINAL.has(error.status ?? 0));
        if (!final) throw error;
        return { outcome: 'not_told', reason: error.message };
      }
    },
    noticed: (outcome) => metrics.transfers.noticed(outcome),
  });
  const named = (work: (callId: string, transferId: string) => Promise<void>) => (piece: string) => {
    const { callId, transferId } = nameOfPiece(piece);
    return work(callId, transferId);
  };
  return {
    transfers,
    handlers: {
      transfer_challenged: named((callId, id) => unfinished.answerChallenge(callId, id)),
      transfer_late: named((callId, id) => unfinished.endLate(callId, id)),
      transfer_over: named((callId, id) => followUp.run(callId, id)),
    },
  };
}
