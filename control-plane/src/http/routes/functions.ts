import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { ActiveConfig } from '../../config/active.js';
import { type AgentFunctions, FAILED, type FunctionAnswer } from '../../retell/agent-functions.js';
import { type FunctionCall, readFunctionCall } from '../../retell/function-call.js';
import { signatureKeys, webhookSignaturePlugin } from '../plugins/webhook-signature.js';
import { ProblemSchema } from '../schemas.js';
import { FunctionBody, FunctionReply } from '../schemas-transfers.js';

export interface FunctionRoutesOptions {
  /** The configuration in force. */
  config: ActiveConfig;
  functions: AgentFunctions;
  /** Told of every call of a function that was signed. */
  functionDone: (name: string, outcome: FunctionAnswer['outcome']) => void;
}

/** The call object may hold a long transcript. */
const BODY_LIMIT = 1024 * 1024;

/**
 * What Retell's agents call. These routes need no token: Retell signs what it sends. They answer 200 with a sentence
 * also where nothing was done: of an error the agent would make what it likes.
 */
export const functionRoutes: FastifyPluginAsyncTypebox<FunctionRoutesOptions> = async (
  app,
  { config, functions, functionDone },
) => {
  await app.register(webhookSignaturePlugin, { keys: () => signatureKeys(config.current) });

  const route = (name: string, summary: string, run: (call: FunctionCall) => Promise<FunctionAnswer>) =>
    app.post(
      `/functions/${name}`,
      {
        bodyLimit: BODY_LIMIT,
        schema: {
          summary,
          description: 'Signed by Retell (X-Retell-Signature); no token is needed.',
          tags: ['functions'],
          body: FunctionBody,
          response: { 200: FunctionReply, '4xx': ProblemSchema, '5xx': ProblemSchema },
        },
      },
      async (request) => {
        const call = readFunctionCall(request.body);
        const answer = await run(call).catch((error: unknown): FunctionAnswer => {
          const detail = error instanceof Error ? error.message : String(error);
          request.log.error({ function: name, detail }, 'a function failed');
          return { result: FAILED, outcome: 'failed' };
        });
        const { result, outcome, callId, transferId } = answer;
        functionDone(name, outcome);
        request.log.info(
          { command: name, by: call.call?.agent_id, call_id: callId, transfer_id: transferId, outcome },
          'function',
        );
        return { result, ok: outcome === 'begun' || outcome === 'done' };
      },
    );

  route('transfer_call', "The agent's custom function that transfers its call", (call) =>
    functions.transferCall(call),
  );
  route('end_call', "The agent's custom function that ends its call", (call) => functions.endCall(call));
};
