import { PassThrough } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { frame, writeFrames } from '../event-stream.js';
import { Problem } from '../problems.js';
import { ProblemSchema, StreamSchema } from '../schemas.js';
import { renderFigures, timeText } from '../status/figures.js';
import { CONTENT_SECURITY_POLICY, renderPage, STATUS_EVENTS } from '../status/page.js';
import type { Snapshots } from '../status/snapshot.js';

export interface StatusRoutesOptions {
  snapshots: Snapshots;
  version: string;
}

/** Open pages at once. */
const MOST_VIEWERS = 20;
/** Between two looks at the figures, in ms. */
const INTERVAL_MS = 2000;

const security = [{ basic: [] }, { bearer: [] }];

/** A page for people: how it goes, at one look. */
export const statusRoutes: FastifyPluginAsyncTypebox<StatusRoutesOptions> = async (
  app,
  { snapshots, version },
) => {
  const stopping = new AbortController();
  let viewers = 0;
  app.addHook('preClose', async () => stopping.abort());

  app.get(
    '/',
    {
      config: { scope: 'read', takesBasic: true },
      schema: {
        summary: 'The status page',
        tags: ['operations'],
        security,
        response: {
          200: { content: { 'text/html': { schema: Type.String({ description: 'A page' }) } } },
          '4xx': ProblemSchema,
          '5xx': ProblemSchema,
        },
      },
    },
    async (_request, reply) =>
      reply
        .type('text/html; charset=utf-8')
        .header('cache-control', 'no-store')
        .header('content-security-policy', CONTENT_SECURITY_POLICY)
        .header('referrer-policy', 'no-referrer')
        .header('x-content-type-options', 'nosniff')
        .send(renderPage(await snapshots.current(), version)),
  );

  app.get(
    STATUS_EVENTS,
    {
      config: { scope: 'read', takesBasic: true },
      schema: {
        summary: 'What changes on the status page, as server-sent events',
        description: `For the page alone. At most ${MOST_VIEWERS} at once.`,
        tags: ['operations'],
        security,
        response: {
          200: { content: { 'text/event-stream': { schema: StreamSchema('events') } } },
          '4xx': ProblemSchema,
          '5xx': ProblemSchema,
        },
      },
    },
    async (request, reply) => {
      if (viewers >= MOST_VIEWERS) throw new Problem('event_streams_full', `${MOST_VIEWERS} pages are open`);
      viewers += 1;
      const gone = new AbortController();
      reply.raw.once('close', () => {
        viewers -= 1;
        gone.abort();
      });
      const out = new PassThrough();
      const signal = AbortSignal.any([gone.signal, stopping.signal]);
      writeFrames(statusFrames(snapshots, signal), out, signal).then(
        (dropped) => {
          if (dropped) reply.raw.destroy();
        },
        (error) => {
          request.log.error({ err: error }, 'the stream of the status page failed');
          out.destroy(error);
        },
      );
      return reply
        .header('content-type', 'text/event-stream')
        .header('cache-control', 'no-store')
        .header('x-accel-buffering', 'no')
        .send(out);
    },
  );
};

/** The time, and the figures where they have changed. */
async function* statusFrames(snapshots: Snapshots, signal: AbortSignal): AsyncGenerator<string> {
  let shown: string | undefined;
  while (!signal.aborted) {
    const snapshot = await snapshots.current();
    const figures = renderFigures(snapshot).text;
    yield frame('status', { at: timeText(snapshot.at), ...(figures !== shown && { figures }) });
    shown = figures;
    await delay(INTERVAL_MS, undefined, { signal }).catch(() => {});
  }
}
