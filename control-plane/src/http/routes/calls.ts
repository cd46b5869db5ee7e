import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { callView } from '../../calls/call-view.js';
import type { Hangup } from '../../calls/hangup/hangup.js';
import type { HangupOutcome } from '../../calls/hangup/outcome.js';
import type { CallStore } from '../../calls/store.js';
import { CallIdParam, callLogSerializers, resolveCallId } from '../call-ids.js';
import { Problem } from '../problems.js';
import {
  CallListSchema,
  CallSchema,
  CallStateSchema,
  DirectionSchema,
  HangupResultSchema,
  ProblemSchema,
} from '../schemas.js';

export interface CallRoutesOptions {
  store: CallStore;
  hangup: Hangup;
  hangupDone: (outcome: HangupOutcome | 'refused', seconds: number) => void;
}

const IdParams = Type.Object({ id: CallIdParam });
const HangupBody = Type.Object(
  {
    reason: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'Goes into the Reason header' }),
    ),
  },
  { additionalProperties: false },
);
const security = [{ bearer: [] }];
export const callRoutes: FastifyPluginAsyncTypebox<CallRoutesOptions> = async (
  app,
  { store, hangup, hangupDone },
) => {
  const resolve = (id: string) => resolveCallId(store, id);

  app.get(
    '/v1/calls',
    {
      config: { scope: 'read' },
      logSerializers: callLogSerializers,
      schema: {
        summary: 'Calls, newest first',
        tags: ['calls'],
        security,
        querystring: Type.Object(
          {
            state: Type.Optional(CallStateSchema),
            direction: Type.Optional(DirectionSchema),
            carrier: Type.Optional(Type.String({ maxLength: 32 })),
            number: Type.Optional(Type.String({ maxLength: 32 })),
            sip_call_id: Type.Optional(Type.String({ maxLength: 256 })),
            retell_call_id: Type.Optional(Type.String({ maxLength: 256 })),
            limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
            cursor: Type.Optional(
              Type.String({ maxLength: 200, description: 'next_cursor of the page before' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: { 200: CallListSchema, '4xx': ProblemSchema, '5xx': ProblemSchema },
      },
    },
    async (request) => {
      const { limit, cursor, sip_call_id, retell_call_id, ...filter } = request.query;
      if (sip_call_id !== undefined || retell_call_id !== undefined) {
        const ids = await Promise.all([
          ...(sip_call_id === undefined ? [] : [store.idOfSipCallId(sip_call_id)]),
          ...(retell_call_id === undefined ? [] : [store.idOfRetellCallId(retell_call_id)]),
        ]);
        const [id] = ids;
        const one = id !== undefined && ids.every((other) => other === id);
        const call = one ? await store.get(id) : undefined;
        return { items: call === undefined ? [] : [callView(call)], next_cursor: null };
      }
      try {
        const page = await store.list(filter, limit, cursor);
        return { items: page.items.map(callView), next_cursor: page.next_cursor };
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        throw new Problem('validation_failed', 'querystring.cursor is not one that this list handed out');
      }
    },
  );

  app.get(
    '/v1/calls/:id',
    {
      config: { scope: 'read' },
      logSerializers: callLogSerializers,
      schema: {
        summary: 'One call with its timeline',
        tags: ['calls'],
        security,
        params: IdParams,
        response: { 200: CallSchema, '4xx': ProblemSchema, '5xx': ProblemSchema },
      },
    },
    async (request) => {
      const call = await store.get(await resolve(request.params.id));
      if (call === undefined) throw new Problem('call_not_found', `there is no call ${request.params.id}`);
      return callView(call);
    },
  );

  app.post(
    '/v1/calls/:id/hangup',
    {
      config: { scope: 'control' },
      logSerializers: callLogSerializers,
      preValidation: async (request) => {
        request.body ??= {};
      },
      schema: {
        summary: 'End a call in any state; answers when the wire has',
        tags: ['calls'],
        security,
        params: IdParams,
        body: HangupBody,
        response: { 200: HangupResultSchema, '4xx': ProblemSchema, '5xx': ProblemSchema },
      },
    },
    async (request) => {
      const started = performance.now();
      const seconds = () => (performance.now() - started) / 1000;
      try {
        const id = await resolve(request.params.id);
        const result = await hangup.hangup(id, { by: request.tokenName, reason: request.body.reason });
        hangupDone(result.outcome, seconds());
        request.log.info({ call_id: id, by: request.tokenName, ...result }, 'hangup');
        return result;
      } catch (error) {
        hangupDone('refused', seconds());
        throw error;
      }
    },
  );
};
