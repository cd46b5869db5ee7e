import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { ladderOf } from '../../calls/ladder/call-ladder.js';
import { drawLadder, drawMermaid } from '../../calls/ladder/draw.js';
import type { CallStore } from '../../calls/store.js';
import { CallIdParam, callLogSerializers, resolveCallId } from '../call-ids.js';
import { Problem } from '../problems.js';
import { ProblemSchema } from '../schemas.js';

export interface CallLadderRoutesOptions {
  store: CallStore;
}

/** Columns between two lines: wide enough for most addresses of gateways. */
const GAP = 40;

/** A call's SIP messages as a ladder. */
export const callLadderRoutes: FastifyPluginAsyncTypebox<CallLadderRoutesOptions> = async (
  app,
  { store },
) => {
  app.get(
    '/v1/calls/:id/ladder',
    {
      config: { scope: 'read' },
      logSerializers: callLogSerializers,
      schema: {
        summary: "A call's SIP messages as a ladder of text, or as a Mermaid diagram",
        tags: ['calls'],
        security: [{ bearer: [] }],
        params: Type.Object({ id: CallIdParam }),
        querystring: Type.Object(
          { format: Type.Enum(['text', 'mermaid'], { default: 'text' }) },
          { additionalProperties: false },
        ),
        response: {
          200: { content: { 'text/plain': { schema: Type.String({ description: 'The ladder' }) } } },
          '4xx': ProblemSchema,
          '5xx': ProblemSchema,
        },
      },
    },
    async (request, reply) => {
      const call = await store.get(await resolveCallId(store, request.params.id));
      if (call === undefined) throw new Problem('call_not_found', `there is no call ${request.params.id}`);
      const steps = ladderOf(call);
      const lines = request.query.format === 'mermaid' ? drawMermaid(steps) : drawLadder(steps, GAP);
      return reply
        .type('text/plain; charset=utf-8')
        .header('x-content-type-options', 'nosniff')
        .send(`${lines.join('\n')}\n`);
    },
  );
};
