import type { PublicEvent, PublicEventType } from '../calls/public-events.js';
import type { Config } from '../config/schema.js';
import { writtenAt } from '../stream-entries.js';

/** A system of the owner's that is told what happens to calls. */
export type Endpoint = Config['webhooks'][number];

/** An event on its way to one endpoint. Its parts are all that is needed of the event, which is not kept for ever. */
export interface Delivery {
  /** Name of the endpoint. */
  endpoint: string;
  event: Pick<PublicEvent, 'id' | 'type' | 'at' | 'call_id' | 'transfer_id'>;
}

/** Whether an endpoint wants events of this type and carrier. */
export function isWantedBy({ events, carriers }: Endpoint, { type, carrier }: PublicEvent): boolean {
  return events.includes(type) && (carriers === undefined || carriers.includes(carrier ?? ''));
}

/** The piece of due work that delivers an event. Names and ids hold no `/`. */
export function pieceOf(endpoint: string, event: Delivery['event']): string {
  return [endpoint, event.id, event.type, event.call_id, event.transfer_id ?? ''].join('/');
}

export function deliveryOf(piece: string): Delivery {
  const [endpoint = '', id = '', type = '', call_id = '', transfer_id] = piece.split('/');
  return {
    endpoint,
    event: {
      id,
      type: type as PublicEventType,
      at: writtenAt(id),
      call_id,
      transfer_id: transfer_id || undefined,
    },
  };
}

/** What a part of a path looks like that somebody has thought up. */
const WORD = /^(?=.{0,24}$)(v\d{1,3}|[a-z]+([._-][a-z]+)*)?$/;

/** The URL for people: without its query, and without parts of its path that may let one post there. */
export function shownUrl(text: string): string {
  const { origin, pathname, search } = new URL(text);
  const path = pathname.split('/').map((part) => (WORD.test(part) ? part : '***'));
  return `${origin}${path.join('/')}${search === '' ? '' : '?***'}`;
}
