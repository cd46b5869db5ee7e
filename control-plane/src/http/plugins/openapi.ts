import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import fp from 'fastify-plugin';

/** OpenAPI 3.1 at /openapi.json and a page of it at /docs, from the routes' own schemas. */
export const openapiPlugin = fp<{ version: string }>(
  async (app, { version }) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'retell-sip-proxy',
          version,
          description:
            'Routes calls, ends them and tells what the wire said. Errors are RFC 9457 application/problem+json.',
        },
        components: {
          securitySchemes: {
            bearer: { type: 'http', scheme: 'bearer' },
            basic: { type: 'http', scheme: 'basic' },
          },
        },
        tags: [
          { name: 'calls', description: 'Calls and commands on them' },
          { name: 'routing', description: 'Carriers and Retell: gateways, limits, drains' },
          { name: 'config', description: 'The configuration in force' },
          { name: 'webhooks', description: 'For Retell, signed by it' },
          { name: 'operations', description: 'Health and metrics' },
        ],
      },
    });
    await app.register(swaggerUi, { routePrefix: '/docs' });
    app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  },
  { name: 'openapi' },
);
