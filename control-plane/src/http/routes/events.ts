import { PassThrough } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import type { EventFeed } from '../../calls/event-feed.js';
import { PUBLIC_EVENT_TYPES } from '../../calls/public-events.js';
import { ENTRY_ID } from '../../stream-entries.js';
import { writeEvents } from '../event-stream.js';
import { Problem } from '../problems.js';
import { ProblemSchema, StreamSchema } from '../schemas.js';

export interface EventRoutesOptions {
  feed: EventFeed;
  /** Told how many streams are open, whenever one begins or ends. */
  eventStreams: (open: number) => void;
  /** Told of each reader that was too slow. */
  eventStreamDropped: () => void;
}

/** Streams at once. */
const MOST_STREAMS = 100;
/** How long a reader that is dropped has to take the last word, in ms. */
const LAST_WORD_MS = 5000;

/** What happens to calls, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
export const eventRoutes: FastifyPluginAsyncTypebox<EventRoutesOptions> = async (
  app,
  { feed, eventStreams, eventStreamDropped },
) => {
  const stopping = new AbortController();
  let open = 0;
  app.addHook('preClose', async () => stopping.abort());

  app.get(
    '/v1/events',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'What happens to calls, as server-sent events',
        description:
          'Goes on after `Last-Event-ID`, or begins with the next event. The record in an event is the one at the time of reading.',
        tags: ['events'],
        security: [{ bearer: [] }],
        headers: Type.Object({
          'last-event-id': Type.Optional(
            Type.String({ description: 'id of the last event that is known; 0-0: all that are kept' }),
          ),
        }),
        querystring: Type.Object(
          {
            type: Type.Optional(
              Type.Array(Type.Enum([...PUBLIC_EVENT_TYPES]), {
                description: 'only events of these types',
                maxItems: PUBLIC_EVENT_TYPES.length,
              }),
            ),
            carrier: Type.Optional(Type.String({ maxLength: 32, description: 'only calls of this carrier' })),
            call: Type.Optional(Type.String({ maxLength: 64, description: 'only the call with this id' })),
          },
          { additionalProperties: false },
        ),
        response: {
          200: { content: { 'text/event-stream': { schema: StreamSchema('events') } } },
          '4xx': ProblemSchema,
          '5xx': ProblemSchema,
        },
      },
    },
    async (request, reply) => {
      const { type: types, carrier, call: call_id } = request.query;
      const after = request.headers['last-event-id'] || undefined;
      if (after !== undefined && !ENTRY_ID.test(after)) {
        throw new Problem(
          'validation_failed',
          'Last-Event-ID is not an id of an event, such as 1790000000000-0',
        );
      }
      if (open >= MOST_STREAMS) throw new Problem('event_streams_full', `${MOST_STREAMS} are open`);
      const gone = new AbortController();
      reply.raw.once('close', () => {
        gone.abort();
        eventStreams(--open);
      });
      eventStreams(++open);
      const out = new PassThrough();
      const signal = AbortSignal.any([gone.signal, stopping.signal]);
      const items = feed.follow({ types, carrier, call_id }, after, signal);
      writeEvents(items, out, signal).then(
        (dropped) => {
          if (!dropped) return;
          eventStreamDropped();
          request.log.warn({ by: request.tokenName }, 'a reader of events was too slow and was dropped');
          setTimeout(() => reply.raw.destroy(), LAST_WORD_MS).unref();
        },
        (error) => out.destroy(error),
      );
      return reply
        .header('content-type', 'text/event-stream')
        .header('cache-control', 'no-store')
        .header('x-accel-buffering', 'no')
        .send(out);
    },
  );
};
