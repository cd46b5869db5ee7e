import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import type { Reload } from '../../routing/reload.js';
import { ProblemSchema } from '../schemas.js';
import { ReloadSchema } from '../schemas-routing.js';

export interface ConfigRoutesOptions {
  reload: Reload;
}

/** The configuration file, put in force anew. */
export const configRoutes: FastifyPluginAsyncTypebox<ConfigRoutesOptions> = async (app, { reload }) => {
  app.post(
    '/v1/config/reload',
    {
      config: { scope: 'admin' },
      preValidation: async (request) => {
        request.body ??= {};
      },
      schema: {
        summary: 'Put the configuration file in force without touching calls',
        tags: ['config'],
        security: [{ bearer: [] }],
        body: Type.Object({}, { additionalProperties: false }),
        response: { 200: ReloadSchema, '4xx': ProblemSchema, '5xx': ProblemSchema },
      },
    },
    async (request) => {
      const result = await reload.run();
      const { outcome, requires_restart, nodes } = result;
      request.log.info({ by: request.tokenName, outcome, requires_restart, nodes }, 'configuration reloaded');
      return result;
    },
  );
};
