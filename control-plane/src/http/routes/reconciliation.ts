import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { iso } from '../../calls/iso.js';
import type { Reconciler } from '../../calls/reconciler/reconciler.js';
import { Problem } from '../problems.js';
import { ProblemSchema } from '../schemas.js';
import { ReconciliationSchema } from '../schemas-reconciliation.js';

export interface ReconciliationRoutesOptions {
  reconciler: Pick<Reconciler, 'last'>;
}

/** What the last comparison of dialogs, records and Retell's calls has found. */
export const reconciliationRoutes: FastifyPluginAsyncTypebox<ReconciliationRoutesOptions> = async (
  app,
  { reconciler },
) => {
  app.get(
    '/v1/reconciliation',
    {
      config: { scope: 'read' },
      schema: {
        summary: "What the last comparison of Kamailio's and Retell's calls with the records has found",
        tags: ['operations'],
        security: [{ bearer: [] }],
        response: { 200: ReconciliationSchema, '4xx': ProblemSchema, '5xx': ProblemSchema },
      },
    },
    async () => {
      const last = await reconciler.last();
      if (last === undefined) {
        throw new Problem('not_reconciled_yet', 'no comparison has finished yet: ask again in a while');
      }
      return {
        ...last,
        started_at: iso(last.started_at),
        finished_at: iso(last.finished_at),
      };
    },
  );
};
