import Type from 'typebox';
import { PUBLIC_EVENT_TYPES } from '../calls/public-events.js';
import { DELIVERY_OUTCOMES } from '../owner-webhooks/delivery-log.js';

const Time = (description: string) =>
  Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description });
const EventType = Type.Enum([...PUBLIC_EVENT_TYPES]);

const EndpointSchema = Type.Object(
  {
    name: Type.String(),
    url: Type.String({ description: 'Without its query and without what may be a secret in its path' }),
    events: Type.Array(EventType, { description: 'Types of events that it wants' }),
    carriers: Type.Union([Type.Array(Type.String()), Type.Null()], {
      description: 'Only events of calls of these; null: of all calls',
    }),
    state: Type.Enum(['enabled', 'disabled'], { description: 'disabled: nothing is sent there' }),
    disabled_at: Time('Since when'),
    disabled_for: Type.Union([Type.Enum(['failures', 'gone']), Type.Null()], {
      description: 'failures: too many attempts failed in a row; gone: it answered 410',
    }),
    last_success_at: Time('When it last took an event'),
    consecutive_failures: Type.Integer({ description: 'Attempts that failed since then' }),
  },
  { $id: 'WebhookEndpoint' },
);

export const EndpointListSchema = Type.Object({ items: Type.Array(EndpointSchema) });

const DeliverySchema = Type.Object(
  {
    at: Type.String({ format: 'date-time', description: 'When it was over' }),
    event_id: Type.String({ description: 'Id of the event; webhook-id is evt_ and this' }),
    type: EventType,
    call_id: Type.String(),
    outcome: Type.Enum([...DELIVERY_OUTCOMES], {
      description:
        'failed: tried again; given_up: not tried again; skipped: not tried, because the endpoint is disabled',
    }),
    attempt: Type.Integer({ description: 'Which one it was, from 1; 0: there was none' }),
    status: Type.Union([Type.Integer(), Type.Null()], { description: 'HTTP status of the answer' }),
    error: Type.Union([Type.String(), Type.Null()], {
      description: 'Why there was no answer, such as timeout or ECONNREFUSED, or no attempt',
    }),
    ms: Type.Union([Type.Integer(), Type.Null()], { description: 'How long the attempt took' }),
  },
  { $id: 'WebhookDelivery' },
);

export const DeliveryListSchema = Type.Object({
  items: Type.Array(DeliverySchema),
  next_cursor: Type.Union([Type.String(), Type.Null()], {
    description: 'Pass it as cursor for the next page; null on the last one',
  }),
});

export const ReplayedSchema = Type.Object({ replayed: Type.Literal(true) });
