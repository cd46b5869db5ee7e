import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import type { Metrics } from '../../metrics/metrics.js';

/** Asks one dependency for a sign of life; rejects where there is none. */
export type ReadinessCheck = () => Promise<void>;

export interface OperationsRoutesOptions {
  metrics: Metrics;
  checks: ReadonlyMap<string, ReadinessCheck>;
}

const ReadySchema = Type.Object({
  status: Type.Enum(['ready', 'not_ready']),
  checks: Type.Record(
    Type.String(),
    Type.Object({ ok: Type.Boolean(), seconds: Type.Number(), detail: Type.Optional(Type.String()) }),
  ),
});

export const operationsRoutes: FastifyPluginAsyncTypebox<OperationsRoutesOptions> = async (
  app,
  { metrics, checks },
) => {
  app.get(
    '/healthz',
    {
      logLevel: 'warn',
      schema: {
        summary: 'Whether the process lives',
        tags: ['operations'],
        response: { 200: Type.Object({ status: Type.Literal('alive') }) },
      },
    },
    async () => ({ status: 'alive' as const }),
  );

  app.get(
    '/readyz',
    {
      logLevel: 'warn',
      schema: {
        summary: 'Whether everything that the control plane needs answers, by dependency',
        tags: ['operations'],
        response: { 200: ReadySchema, 503: ReadySchema },
      },
    },
    async (_request, reply) => {
      const results = await Promise.all(
        [...checks].map(async ([name, check]) => [name, await probe(check)] as const),
      );
      const ready = results.every(([, { ok }]) => ok);
      return reply
        .code(ready ? 200 : 503)
        .send({ status: ready ? 'ready' : 'not_ready', checks: Object.fromEntries(results) });
    },
  );

  app.get(
    '/metrics',
    {
      logLevel: 'warn',
      schema: { summary: 'Metrics for Prometheus', tags: ['operations'], produces: ['text/plain'] },
    },
    async (_request, reply) => reply.type(metrics.registry.contentType).send(await metrics.text()),
  );
};

async function probe(check: ReadinessCheck): Promise<{ ok: boolean; seconds: number; detail?: string }> {
  const started = performance.now();
  const seconds = () => Number(((performance.now() - started) / 1000).toFixed(4));
  try {
    await check();
    return { ok: true, seconds: seconds() };
  } catch (error) {
    return { ok: false, seconds: seconds(), detail: error instanceof Error ? error.message : String(error) };
  }
}
