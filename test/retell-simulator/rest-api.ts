import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { pause } from './behaviour.js';
import { checkCriteria, matchesCriteria } from './call-filter.js';
import type { CallEntry, CallObject, NewCall } from './calls.js';
import type { RetellSimulator } from './simulator.js';

const DEFAULT_LIMIT = 50;
const UNKNOWN_ASSET = 'Cannot find requested asset under given api key.';

/** An error answer in Retell's form (retell.md 2.1). */
export class RetellError extends Error {
  constructor(
    readonly statusCode: number,
    message: string,
  ) {
    super(message);
  }
}

const Anything = Type.Record(Type.String(), Type.Unknown());
const Strings = Type.Record(Type.String(), Type.String());
const AgentOverride = Type.Object({
  agent: Type.Optional(
    Type.Object({
      webhook_url: Type.Optional(Type.String()),
      webhook_events: Type.Optional(Type.Array(Type.String())),
      webhook_timeout_ms: Type.Optional(Type.Number()),
    }),
  ),
});
const Shared = {
  agent_override: Type.Optional(AgentOverride),
  metadata: Type.Optional(Anything),
  retell_llm_dynamic_variables: Type.Optional(Strings),
};
const RegisterBody = Type.Object({
  agent_id: Type.String(),
  agent_version: Type.Optional(Type.Union([Type.Number(), Type.String()])),
  direction: Type.Optional(Type.Union([Type.Literal('inbound'), Type.Literal('outbound')])),
  from_number: Type.Optional(Type.String()),
  to_number: Type.Optional(Type.String()),
  ...Shared,
});
const CreateBody = Type.Object({
  from_number: Type.String(),
  to_number: Type.String(),
  override_agent_id: Type.Optional(Type.String()),
  custom_sip_headers: Type.Optional(Strings),
  ...Shared,
});
const ListBody = Type.Object({
  filter_criteria: Type.Optional(Anything),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
  pagination_key: Type.Optional(Type.String()),
  skip: Type.Optional(Type.Integer({ minimum: 0 })),
  sort_order: Type.Optional(Type.Union([Type.Literal('ascending'), Type.Literal('descending')])),
  include_total: Type.Optional(Type.Boolean()),
});
const LiveBody = Type.Object({
  fields_to_override: Type.Optional(
    Type.Object({
      override_dynamic_variables: Type.Optional(Type.Union([Strings, Type.Null()])),
      metadata: Type.Optional(Anything),
    }),
  ),
  call_control: Type.Optional(Anything),
});
const CallId = Type.Object({ call_id: Type.String() });

/** Retell's REST API (retell.md 2), with the bearer key checked and the faults that are set applied. */
export async function restApi(root: FastifyInstance, { simulator }: { simulator: RetellSimulator }) {
  const app = root.withTypeProvider<TypeBoxTypeProvider>();
  const { calls } = simulator;
  guard(root, simulator);

  app.post(
    '/v2/register-phone-call',
    { schema: { body: RegisterBody }, config: { endpoint: 'register-phone-call' } },
    async (request, reply) => {
      const { agent_id, agent_version, agent_override, metadata } = request.body;
      const { direction = 'inbound', from_number = '', to_number = '' } = request.body;
      const { retell_llm_dynamic_variables } = request.body;
      admit(simulator, agent_id);
      const call: NewCall = {
        ...{ agent_id, direction, from_number, to_number },
        ...(metadata ? { metadata } : {}),
        ...(retell_llm_dynamic_variables ? { retell_llm_dynamic_variables } : {}),
        ...(typeof agent_version === 'number' ? { agent_version } : {}),
      };
      return reply.status(201).send(calls.register(call, agent_override?.agent).call);
    },
  );

  app.post(
    '/v2/create-phone-call',
    { schema: { body: CreateBody }, config: { endpoint: 'create-phone-call' } },
    async (request, reply) => {
      const { agent_override, override_agent_id = simulator.inboundAgent, ...body } = request.body;
      admit(simulator, override_agent_id);
      if (!simulator.terminationUri) throw new RetellError(422, 'No termination URI is configured.');
      const call: NewCall = { ...body, agent_id: override_agent_id, direction: 'outbound' };
      const entry = calls.create(call, agent_override?.agent);
      const answer = { ...entry.call };
      simulator.dial(entry, body.custom_sip_headers ?? {});
      return reply.status(201).send(answer);
    },
  );

  app.post(
    '/v2/stop-call/:call_id',
    { schema: { params: CallId }, config: { endpoint: 'stop-call' } },
    async (request, reply) => {
      const entry = stoppable(simulator, request.params.call_id);
      // Asynchronous at Retell: the answer does not wait for the BYE.
      setImmediate(() => simulator.hangUp(entry, 'manual_stopped'));
      return reply.status(204).send();
    },
  );

  app.get(
    '/v2/get-call/:call_id',
    { schema: { params: CallId }, config: { endpoint: 'get-call' } },
    async (request) => known(simulator, request.params.call_id).call,
  );

  app.post(
    '/v3/list-calls',
    { schema: { body: ListBody }, config: { endpoint: 'list-calls' } },
    async (request) => {
      const { filter_criteria = {}, limit = DEFAULT_LIMIT, pagination_key, skip = 0 } = request.body;
      const all = sorted(
        calls.all().map((entry) => entry.call),
        request.body.sort_order ?? 'descending',
      );
      // The call that the page before ended with may not fulfil the criteria any more.
      const after = pagination_key ? all.findIndex((call) => call.call_id === pagination_key) + 1 : 0;
      const rest = accepted(all.slice(after), filter_criteria).slice(skip);
      const items = rest.slice(0, limit);
      const last = items.at(-1)?.call_id;
      return {
        has_more: rest.length > limit,
        items: items.map(({ transcript, transcript_object, ...item }) => item),
        ...(last === undefined ? {} : { pagination_key: last }),
        ...(request.body.include_total ? { total: accepted(all, filter_criteria).length } : {}),
      };
    },
  );

  app.get('/get-concurrency', { config: { endpoint: 'get-concurrency' } }, async () => ({
    current_concurrency: simulator.concurrency,
    concurrency_limit: simulator.concurrencyLimit,
    base_concurrency: simulator.concurrencyLimit,
    purchased_concurrency: 0,
    concurrency_purchase_limit: 100,
    remaining_purchase_limit: 100,
    concurrency_burst_enabled: false,
    concurrency_burst_limit: 0,
    reserved_inbound_concurrency: 0,
  }));

  app.patch(
    '/v2/update-live-call/:call_id',
    { schema: { params: CallId, body: LiveBody }, config: { endpoint: 'update-live-call' } },
    async (request) => {
      const { call } = ongoing(simulator, request.params.call_id);
      const { metadata, override_dynamic_variables } = request.body.fields_to_override ?? {};
      if (metadata) call.metadata = metadata;
      if (override_dynamic_variables) {
        call.retell_llm_dynamic_variables = {
          ...call.retell_llm_dynamic_variables,
          ...override_dynamic_variables,
        };
      }
      return { success: true };
    },
  );
}

/** The checks that come before every handler, and the log of what was asked. */
function guard(app: FastifyInstance, simulator: RetellSimulator): void {
  const delays = new WeakMap<FastifyRequest, number>();
  app.setErrorHandler(async (error: Error & { statusCode?: number }, _request, reply) =>
    reply.status(error.statusCode ?? 500).send({ status: 'error', message: error.message }),
  );
  // Before validation, so that the log also shows what was refused.
  app.addHook('preValidation', async (request: FastifyRequest) => {
    const fault = simulator.faults.take(endpointOf(request));
    delays.set(request, fault?.delay_ms ?? 0);
    if (request.headers.authorization !== `Bearer ${simulator.apiKey}`) {
      throw new RetellError(401, 'Invalid API Key');
    }
    if (fault?.status !== undefined) {
      throw new RetellError(fault.status, fault.message ?? `Simulated ${fault.status}`);
    }
  });
  app.addHook('onSend', async (request: FastifyRequest, reply: FastifyReply, payload) => {
    const { method, url, body } = request;
    const endpoint = endpointOf(request);
    simulator.requests.push({ at: Date.now(), endpoint, method, url, body, status: reply.statusCode });
    await pause(delays.get(request) ?? 0);
    return payload;
  });
}

function endpointOf(request: FastifyRequest): string {
  return (request.routeOptions.config as { endpoint?: string }).endpoint ?? '';
}

/** What both ways to make a call check first. */
function admit(simulator: RetellSimulator, agentId: string): void {
  const { agents } = simulator.options;
  if (agents && !agents.includes(agentId)) throw new RetellError(422, UNKNOWN_ASSET);
  if (simulator.concurrency >= simulator.concurrencyLimit) {
    throw new RetellError(429, 'Account rate limited, concurrency limit reached.');
  }
}

function known(simulator: RetellSimulator, callId: string): CallEntry {
  const entry = simulator.calls.get(callId);
  if (!entry) throw new RetellError(422, UNKNOWN_ASSET);
  return entry;
}

function ongoing(simulator: RetellSimulator, callId: string): CallEntry {
  const entry = known(simulator, callId);
  if (entry.call.call_status !== 'ongoing') throw new RetellError(422, 'The call is not ongoing.');
  return entry;
}

/** A call that stop-call ends. */
function stoppable(simulator: RetellSimulator, callId: string): CallEntry {
  const entry = known(simulator, callId);
  const unanswered = entry.call.call_status === 'registered';
  return unanswered && simulator.stopUnanswered === 'end' ? entry : ongoing(simulator, callId);
}

function sorted(calls: CallObject[], order: 'ascending' | 'descending'): CallObject[] {
  const sign = order === 'ascending' ? 1 : -1;
  return calls.sort((a, b) => sign * ((a.start_timestamp ?? 0) - (b.start_timestamp ?? 0)));
}

function accepted(calls: CallObject[], criteria: Record<string, unknown>): CallObject[] {
  try {
    checkCriteria(criteria);
    return calls.filter((call) => matchesCriteria(call, criteria));
  } catch (error) {
    throw new RetellError(400, error instanceof Error ? error.message : 'bad filter');
  }
}
