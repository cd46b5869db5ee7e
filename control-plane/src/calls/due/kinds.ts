/** Work that is due at a time, by what has to be done. */
export const DUE_KINDS = [
  'max_duration',
  'missing_bye',
  'retell_lingers',
  'dialog_lingers',
  'transfer_challenged',
  'transfer_late',
  'transfer_over',
  'retell_webhook',
  'created_call',
  'webhook_delivery',
] as const;
export type DueKind = (typeof DUE_KINDS)[number];

/** What is due of one kind, by time: what each piece is for. */
export const dueKey = (kind: DueKind): string => `calls:due:${kind}`;

/** How work of one kind is taken and tried again. Pauses double from the first to the largest. */
export interface DuePolicy {
  /** Pieces in hand at once: a kind whose work is slow, as where Retell is away, holds up no other. */
  hands: number;
  /** After so many tries a piece is dropped. */
  tries: number;
  /** Pause after the first failure, in ms. */
  firstMs: number;
  /** The largest pause, in ms. */
  largestMs: number;
  /** By which part of itself a pause is longer or shorter at random, so that what failed at once comes back apart. */
  jitter: number;
}

const DEFAULT_POLICY: DuePolicy = { hands: 20, tries: 10, firstMs: 1000, largestMs: 60_000, jitter: 0 };

const POLICIES: Partial<Record<DueKind, DuePolicy>> = {
  // Each endpoint has 50 of the hands at most (owner-webhooks/deliveries.ts), and there are twenty endpoints at most, so
  // that there is always one free. The tries take some four hours and a half.
  webhook_delivery: { hands: 1020, tries: 14, firstMs: 5000, largestMs: 3_600_000, jitter: 0.2 },
};

export function policyOf(kind: DueKind): DuePolicy {
  return POLICIES[kind] ?? DEFAULT_POLICY;
}
