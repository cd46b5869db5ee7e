import type { Call } from '../call.js';
import type { RecordChange } from '../due/plan.js';
import type { DueChange } from '../due/work.js';
import type { CallStore, Merge } from '../store.js';
import { endOnWire, openChallenge, referEventsOf } from './outcome.js';
import { endField, type Transfer, type TransferEnd, transferFields } from './transfer.js';

/** A transfer of a call, as due work names it. */
export interface TransferName {
  callId: string;
  transferId: string;
}

/** Told once of each transfer that ended. */
export interface TransferObserver {
  /** @param seconds from its request */
  transferEnded(source: Transfer['source'], outcome: TransferEnd['outcome'], seconds: number): void;
}

/** A NOTIFY may come after the BYE that the carrier sends with it, in ms. */
const NOTIFY_AFTER_END_MS = 1000;
/** Retell hangs up itself when its own REFER has worked; where it does not, it is done from here after this, in ms. */
const RETELL_HANGS_UP_MS = 5000;
/** An agent that waits for the answer of its function is told by that, in ms. */
const FUNCTION_ANSWERS_MS = 2500;

/** Works out from the events how transfers end, and what follows from that. */
export class TransferTracker {
  readonly #store: CallStore;
  readonly #observer: TransferObserver;

  constructor(store: CallStore, observer: TransferObserver) {
    this.#store = store;
    this.#observer = observer;
  }

  /**
   * What follows from a batch of events that is written. Asking again, for the same batch, does no harm.
   *
   * @throws where Redis does not answer
   */
  async after(changes: readonly RecordChange[]): Promise<DueChange[]> {
    const touched = changes.flatMap((change) => namesOf(change));
    if (touched.length === 0) return [];
    const calls = await this.#store.getAll([...new Set(touched.map(({ callId }) => callId))]);
    const byId = new Map(calls.flatMap((call) => (call === undefined ? [] : [[call.id, call] as const])));
    const due: DueChange[] = [];
    for (const name of touched) {
      const call = byId.get(name.callId);
      const transfer = call?.transfers.find(({ id }) => id === name.transferId);
      if (call !== undefined && transfer !== undefined) due.push(...(await this.#look(call, transfer)));
    }
    return due;
  }

  /**
   * Ends a transfer, unless it has ended already.
   *
   * @returns what follows from its end, whichever that is
   */
  async end(callId: string, transfer: Transfer, end: TransferEnd): Promise<DueChange[]> {
    const merge: Merge = { id: callId, atMs: end.at, fields: transferFields.end(transfer.id, end) };
    const [fresh] = await this.#store.merge([merge]);
    if (fresh?.includes(endField(transfer.id))) {
      this.#observer.transferEnded(transfer.source, end.outcome, (end.at - transfer.requested_at) / 1000);
      return afterEnd(callId, { ...transfer, end });
    }
    const now = (await this.#store.get(callId))?.transfers.find(({ id }) => id === transfer.id);
    return now === undefined ? [] : afterEnd(callId, now);
  }

  async #look(call: Call, transfer: Transfer): Promise<DueChange[]> {
    if (transfer.end !== undefined) return afterEnd(call.id, transfer);
    const events = referEventsOf(call.timeline, transfer.id);
    const end = endOnWire(transfer, events);
    if (end !== undefined) return this.end(call.id, transfer, end);
    const piece = pieceOf({ callId: call.id, transferId: transfer.id });
    const challenged = transfer.source !== 'retell' && openChallenge(events) !== undefined;
    return [
      ...(challenged ? [{ kind: 'transfer_challenged', id: piece, atMs: Date.now() } as const] : []),
      ...(transfer.source === 'retell' ? [lateAfter(call.id, transfer)] : []),
      ...(call.ended_at === undefined
        ? []
        : [
            {
              kind: 'transfer_late',
              id: `${piece}/call_ended`,
              atMs: call.ended_at + NOTIFY_AFTER_END_MS,
            } as const,
          ]),
    ];
  }
}

/** When it has to be looked at because the carrier told nothing. */
export function lateAfter(
  callId: string,
  transfer: Pick<Transfer, 'id' | 'requested_at' | 'timeout_s'>,
): DueChange {
  const id = pieceOf({ callId, transferId: transfer.id });
  return { kind: 'transfer_late', id, atMs: transfer.requested_at + transfer.timeout_s * 1000 };
}

/** The name of a transfer in due work. */
export function pieceOf({ callId, transferId }: TransferName): string {
  return `${callId}/${transferId}`;
}

export function nameOfPiece(piece: string): TransferName {
  const [callId = '', transferId = ''] = piece.split('/');
  return { callId, transferId };
}

/** The transfers that an event is about. */
function namesOf({ id, event }: RecordChange): TransferName[] {
  const { transfer } = event as { transfer?: string };
  return transfer === undefined ? [] : [{ callId: id, transferId: transfer }];
}

function afterEnd(callId: string, { id, source, requested_at, end }: Transfer): DueChange[] {
  if (end === undefined || end.outcome === 'call_ended') return [];
  const piece = pieceOf({ callId, transferId: id });
  let atMs = end.at;
  if (source === 'retell') {
    if (end.outcome !== 'succeeded') return [];
    atMs += RETELL_HANGS_UP_MS;
  } else if (source === 'function' && end.outcome !== 'succeeded') {
    atMs = Math.max(atMs, requested_at + FUNCTION_ANSWERS_MS);
  }
  return [
    { kind: 'transfer_over', id: piece, atMs },
    { kind: 'transfer_late', id: piece },
  ];
}
