import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { later } from '../harness/sip-transaction.js';
import { ENDPOINTS } from './behaviour.js';
import { RetellError } from './rest-api.js';
import type { RetellSimulator } from './simulator.js';

const Wait = Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]);
const Millis = Type.Integer({ minimum: 0 });
const closed = { additionalProperties: false };

const NumberBody = Type.Partial(
  Type.Object({
    ring_after_ms: Wait,
    answer_after_ms: Wait,
    refuse: Type.Union([Type.Integer({ minimum: 300, maximum: 699 }), Type.Null()]),
    refuse_after_ms: Millis,
    silent: Type.Boolean(),
    bye_after_ms: Wait,
    bye_answer: Type.Union([Type.Integer({ minimum: 200, maximum: 699 }), Type.Literal('ignore')]),
    forgets_bye: Type.Boolean(),
    omits_bye: Type.Boolean(),
  }),
  closed,
);
const WebhookBody = Type.Partial(
  Type.Object({
    url: Type.String(),
    inbound_url: Type.String(),
    events: Type.Array(Type.String()),
    delay_ms: Millis,
    duplicates: Type.Integer({ minimum: 0, maximum: 100 }),
    shuffle_within_ms: Millis,
    drop: Type.Array(Type.String()),
    timeout_ms: Millis,
    retries: Type.Integer({ minimum: 0, maximum: 100 }),
    retry_delay_ms: Millis,
  }),
  closed,
);
const FaultBody = Type.Object(
  {
    endpoint: Type.Union([...ENDPOINTS, '*'].map((name) => Type.Literal(name))),
    delay_ms: Type.Optional(Millis),
    status: Type.Optional(Type.Integer({ minimum: 400, maximum: 599 })),
    message: Type.Optional(Type.String()),
    times: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  closed,
);
const ConcurrencyBody = Type.Partial(
  Type.Object({ limit: Type.Integer({ minimum: 0 }), other_calls: Type.Integer({ minimum: 0 }) }),
  closed,
);
const CallId = Type.Object({ call_id: Type.String() });
const Strings = Type.Record(Type.String(), Type.String());

/** The simulator's own knobs and eyes, under `/simulator`; no key is needed. */
export async function controlApi(root: FastifyInstance, { simulator }: { simulator: RetellSimulator }) {
  const app = root.withTypeProvider<TypeBoxTypeProvider>();

  app.put(
    '/numbers/:number',
    { schema: { params: Type.Object({ number: Type.String() }), body: NumberBody } },
    async (request) => {
      simulator.setNumber(request.params.number, request.body);
      return simulator.numbers.find(request.params.number);
    },
  );
  app.patch('/webhooks', { schema: { body: WebhookBody } }, async (request) => {
    simulator.setWebhooks(request.body);
    return simulator.webhooks.behaviour;
  });
  app.post('/faults', { schema: { body: FaultBody } }, async (request, reply) => {
    simulator.addFault(request.body);
    return reply.status(201).send(request.body);
  });
  app.delete('/faults', async (_request, reply) => {
    simulator.faults.clear();
    return reply.status(204).send();
  });
  app.patch('/concurrency', { schema: { body: ConcurrencyBody } }, async (request) => {
    const { limit = simulator.concurrencyLimit, other_calls = simulator.otherCalls } = request.body;
    simulator.concurrencyLimit = limit;
    simulator.otherCalls = other_calls;
    return { limit, other_calls, current: simulator.concurrency };
  });

  app.patch(
    '/stop-unanswered',
    { schema: { body: Type.Object({ mode: Type.Union([Type.Literal('refuse'), Type.Literal('end')]) }) } },
    async (request) => {
      simulator.stopUnanswered = request.body.mode;
      return { mode: simulator.stopUnanswered };
    },
  );
  app.post('/outage', { schema: { body: Type.Object({ duration_ms: Millis }) } }, async (request, reply) => {
    const { duration_ms } = request.body;
    // After the answer, which would be cut off too.
    reply.raw.once('finish', () => {
      void simulator.closeHttp().then(() => later(duration_ms, () => void simulator.openHttp()));
    });
    return reply.status(202).header('connection', 'close').send();
  });

  app.patch('/termination', { schema: { body: Type.Object({ uri: Type.String() }) } }, async (request) => {
    try {
      simulator.terminationUri = request.body.uri;
    } catch (error) {
      throw new RetellError(400, error instanceof Error ? error.message : 'bad URI');
    }
    return { uri: simulator.terminationUri };
  });

  app.get('/calls', async () => ({ items: simulator.calls.all().map((entry) => entry.call) }));
  app.get('/requests', async () => ({ items: simulator.requests.items }));
  app.get(
    '/trace/:sip_call_id',
    { schema: { params: Type.Object({ sip_call_id: Type.String() }) } },
    async (request) => {
      const { udp, tcp, tls } = simulator.sip;
      const messages = [...udp.trace, ...tcp.trace, ...(tls?.trace ?? [])].filter(
        ({ message }) => message.callId === request.params.sip_call_id,
      );
      return {
        items: messages.map(({ at, direction, message, retransmission }) => ({
          at,
          direction,
          first_line: message.raw.split('\r\n', 1)[0],
          cseq: message.get('cseq'),
          retransmission,
        })),
      };
    },
  );
  app.get('/webhooks', async () => ({
    behaviour: simulator.webhooks.behaviour,
    pending: simulator.webhooks.pending,
    overflowed: simulator.webhooks.overflowed,
    deliveries: simulator.webhooks.deliveries.items,
  }));

  app.post('/calls/:call_id/hangup', { schema: { params: CallId } }, async (request, reply) => {
    simulator.hangUp(entryOf(request.params.call_id), 'agent_hangup');
    return reply.status(202).send();
  });
  app.post(
    '/calls/:call_id/transfer',
    {
      schema: {
        params: CallId,
        body: Type.Object({
          to: Type.String(),
          mode: Type.Optional(Type.Union([Type.Literal('sip_refer'), Type.Literal('sip_invite')])),
          show_transferee_as_caller: Type.Optional(Type.Boolean()),
          headers: Type.Optional(Strings),
          timeout_ms: Type.Optional(Millis),
        }),
      },
    },
    async (request) => {
      const { to, mode, show_transferee_as_caller: showTransfereeAsCaller = false } = request.body;
      const { timeout_ms = 30_000 } = request.body;
      const headers = Object.entries(request.body.headers ?? {});
      const entry = entryOf(request.params.call_id);
      const transferred =
        mode === 'sip_invite'
          ? simulator.transferByInvite(entry, to, { showTransfereeAsCaller, headers, ringMs: timeout_ms })
          : simulator.transfer(entry, to, headers, timeout_ms);
      return { status: await transferred };
    },
  );
  app.post(
    '/calls/:call_id/function',
    {
      schema: {
        params: CallId,
        body: Type.Object({
          url: Type.String(),
          name: Type.String(),
          args: Type.Record(Type.String(), Type.Unknown()),
        }),
      },
    },
    async (request) => simulator.callFunction(entryOf(request.params.call_id), request.body),
  );
  app.post('/reset', async (_request, reply) => {
    simulator.reset();
    return reply.status(204).send();
  });

  function entryOf(callId: string) {
    const entry = simulator.calls.get(callId);
    if (entry?.call.call_status !== 'ongoing') throw new RetellError(409, 'The call is not ongoing.');
    return entry;
  }
}
