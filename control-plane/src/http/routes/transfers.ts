import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import type { CallStore } from '../../calls/store.js';
import { transferView } from '../../calls/transfer/transfer-view.js';
import type { Transfers } from '../../calls/transfer/transfers.js';
import { CallIdParam, callLogSerializers, resolveCallId } from '../call-ids.js';
import { ProblemSchema } from '../schemas.js';
import { TransferBody, TransferSchema } from '../schemas-transfers.js';

export interface TransferRoutesOptions {
  store: CallStore;
  transfers: Transfers;
}

/** Longest wait that a client may ask for, in s: under the server's own limit for a connection. */
const LONGEST_WAIT_S = 50;

const common = { tags: ['transfers'], security: [{ bearer: [] }] };
const problems = { '4xx': ProblemSchema, '5xx': ProblemSchema };

/** Transfers of answered calls. */
export const transferRoutes: FastifyPluginAsyncTypebox<TransferRoutesOptions> = async (
  app,
  { store, transfers },
) => {
  app.post(
    '/v1/calls/:id/transfers',
    {
      config: { scope: 'control' },
      logSerializers: callLogSerializers,
      schema: {
        ...common,
        summary: 'Transfer an answered call by REFER to its carrier',
        description:
          'Answers 202 once the REFER is on its way. `Prefer: wait=30` waits so many seconds, at most 50, for the outcome, and answers 200 with it where it comes in time (RFC 7240).',
        params: Type.Object({ id: CallIdParam }),
        headers: Type.Object({
          prefer: Type.Optional(Type.String({ maxLength: 200, description: 'wait=SECONDS' })),
        }),
        body: TransferBody,
        response: { 200: TransferSchema, 202: TransferSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { to, headers, referred_by, on_failure } = request.body;
      const by = request.tokenName;
      const callId = await resolveCallId(store, request.params.id);
      const audit = { call_id: callId, by, command: 'transfer' };
      let transfer = await transfers
        .begin(callId, { to, headers, referredBy: referred_by, onFailure: on_failure, source: 'api', by })
        .catch((error: unknown) => {
          const code = (error as { code?: unknown }).code;
          request.log.info({ ...audit, outcome: 'refused', code }, 'transfer refused');
          throw error;
        });
      request.log.info({ ...audit, transfer_id: transfer.id, outcome: 'begun' }, 'transfer begun');
      const waitS = waitOf(request.headers.prefer);
      if (waitS !== undefined) {
        reply.header('preference-applied', `wait=${waitS}`);
        transfer = await transfers.wait(callId, transfer.id, waitS * 1000);
      }
      return reply
        .code(transfer.end === undefined ? 202 : 200)
        .header('location', `/v1/calls/${callId}/transfers/${transfer.id}`)
        .send(transferView(transfer));
    },
  );

  app.get(
    '/v1/calls/:id/transfers/:transfer_id',
    {
      config: { scope: 'read' },
      logSerializers: callLogSerializers,
      schema: {
        ...common,
        summary: 'One transfer and how far it is',
        params: Type.Object({ id: CallIdParam, transfer_id: Type.String({ maxLength: 64 }) }),
        response: { 200: TransferSchema, ...problems },
      },
    },
    async (request) => {
      const callId = await resolveCallId(store, request.params.id);
      return transferView(await transfers.get(callId, request.params.transfer_id));
    },
  );
};

/** The seconds of `Prefer: wait=` (RFC 7240 section 4.3), as far as they are waited for. */
function waitOf(prefer: string | undefined): number | undefined {
  const [, seconds] = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})"?/i.exec(prefer ?? '') ?? [];
  return seconds === undefined ? undefined : Math.min(Number(seconds), LONGEST_WAIT_S);
}
