import { createHash } from 'node:crypto';
import type { RetellDetails } from '../calls/retell-details.js';
import { type KeptContent, readRetellDetails } from './call-details.js';
import { type RetellCall, readRetellCall } from './call-object.js';

/** A webhook of Retell's as far as we keep it. */
export interface StoredWebhook {
  /** `call_ended` and so on, or what Retell comes to add. */
  event: string;
  /** Undefined where it is about no call that can be read. */
  call: RetellCall | undefined;
  /** What it tells besides. */
  details: RetellDetails;
  /** Where a transfer goes, of events about one. */
  destination?: string;
  /** Tells two webhooks of one event apart; only of events that a call may have several times. */
  key?: string;
  /** When it came, in ms since 1970. */
  receivedAt: number;
}

/** Events about a call that it has once, each (retell.md 5.1). */
export const LIFECYCLE_EVENTS = ['call_started', 'call_ended', 'call_analyzed'] as const;
export type LifecycleEvent = (typeof LIFECYCLE_EVENTS)[number];
/** Events that it may have several times. */
const TRANSFER_EVENTS = [
  'transfer_started',
  'transfer_bridged',
  'transfer_cancelled',
  'transfer_ended',
] as const;
/** All that Retell is known to send about a voice call. */
export const KNOWN_EVENTS = [...LIFECYCLE_EVENTS, ...TRANSFER_EVENTS, 'transcript_updated'] as const;

/** A name that can be one of a timeline's entries. */
const EVENT = /^[a-z][a-z_]{0,63}$/;

export function isLifecycleEvent(event: string): event is LifecycleEvent {
  return (LIFECYCLE_EVENTS as readonly string[]).includes(event);
}

/**
 * Reads the body of a webhook.
 *
 * @param raw the body as it came
 * @param keep what is kept of what was said
 * @returns undefined where it is no event
 */
export function readWebhook(
  body: Readonly<Record<string, unknown>>,
  raw: string,
  receivedAt: number,
  keep: readonly KeptContent[],
): StoredWebhook | undefined {
  const { event } = body;
  if (typeof event !== 'string' || !EVENT.test(event)) return undefined;
  const call = readRetellCall(body.call);
  if (call === undefined && (KNOWN_EVENTS as readonly string[]).includes(event)) return undefined;
  const destination = destinationOf(body.transfer_destination);
  return {
    event,
    call,
    details: isLifecycleEvent(event) ? readRetellDetails(body.call, keep) : {},
    ...(destination === undefined ? {} : { destination }),
    ...(isLifecycleEvent(event) ? {} : { key: createHash('sha256').update(raw).digest('hex').slice(0, 16) }),
    receivedAt,
  };
}

/** An object in webhooks, a text in the call object (retell.md 5.2). */
function destinationOf(value: unknown): string | undefined {
  const text = typeof value === 'object' && value !== null ? (value as { number?: unknown }).number : value;
  return typeof text === 'string' && text !== '' && text.length <= 256 ? text : undefined;
}

export function parseStored(text: string): StoredWebhook {
  return JSON.parse(text) as StoredWebhook;
}
