import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import type { ActiveConfig } from '../../config/active.js';
import type { Carriers, CarrierView } from '../../routing/carriers.js';
import type { Drains } from '../../routing/drains.js';
import { Problem } from '../problems.js';
import { ProblemSchema } from '../schemas.js';
import { CarrierListSchema, CarrierSchema, RetellSchema } from '../schemas-routing.js';

export interface CarrierRoutesOptions {
  config: ActiveConfig;
  carriers: Carriers;
  drains: Drains;
}

const NameParams = Type.Object({
  name: Type.String({ maxLength: 32, description: 'Name of the carrier' }),
});
const UriParam = Type.String({ maxLength: 300, description: "The gateway's SIP URI, percent-encoded" });
const NoBody = Type.Object({}, { additionalProperties: false });
const common = { tags: ['routing'], security: [{ bearer: [] }] };
const problems = { '4xx': ProblemSchema, '5xx': ProblemSchema };
const COMMANDS = {
  drain: 'give no new calls to it, and let those that are up go on',
  resume: 'give it calls again',
} as const;

/** Carriers and Retell: what their gateways are doing, and drain and resume. */
export const carrierRoutes: FastifyPluginAsyncTypebox<CarrierRoutesOptions> = async (
  app,
  { config, carriers, drains },
) => {
  const unknownCarrier = (name: string) =>
    new Problem('carrier_not_found', `there is no carrier ${name} in the configuration`);
  const assertGateway = (gateways: readonly { uri: string }[], uri: string, owner: string) => {
    if (gateways.some((gateway) => gateway.uri === uri)) return;
    throw new Problem('gateway_not_found', `${owner} has no gateway ${uri} in the configuration`);
  };
  const configured = (name: string) => {
    const carrier = config.current.carriers.find((each) => each.name === name);
    if (carrier === undefined) throw unknownCarrier(name);
    return carrier;
  };
  const shown = async (name: string): Promise<CarrierView> => {
    const view = await carriers.get(name);
    if (view === undefined) throw unknownCarrier(name);
    return view;
  };
  const withoutBody = async (request: { body: unknown }) => {
    request.body ??= {};
  };

  app.get(
    '/v1/carriers',
    {
      config: { scope: 'read' },
      schema: {
        ...common,
        summary: 'Every carrier with its gateways',
        response: { 200: CarrierListSchema, ...problems },
      },
    },
    async () => ({ items: await carriers.list() }),
  );

  app.get(
    '/v1/carriers/:name',
    {
      config: { scope: 'read' },
      schema: {
        ...common,
        summary: 'One carrier with its gateways',
        params: NameParams,
        response: { 200: CarrierSchema, ...problems },
      },
    },
    async (request) => shown(request.params.name),
  );

  app.get(
    '/v1/retell',
    {
      config: { scope: 'read' },
      schema: {
        ...common,
        summary: "Retell's gateways and its concurrency",
        response: { 200: RetellSchema, ...problems },
      },
    },
    async () => carriers.retell(),
  );

  for (const command of ['drain', 'resume'] as const) {
    app.post(
      `/v1/carriers/:name/${command}`,
      {
        config: { scope: 'admin' },
        preValidation: withoutBody,
        schema: {
          ...common,
          summary: `A carrier: ${COMMANDS[command]}`,
          params: NameParams,
          body: NoBody,
          response: { 200: CarrierSchema, ...problems },
        },
      },
      async (request) => {
        const { name } = configured(request.params.name);
        await drains[command]({ carrier: name });
        request.log.info({ by: request.tokenName, carrier: name }, command);
        return shown(name);
      },
    );

    app.post(
      `/v1/carriers/:name/gateways/:uri/${command}`,
      {
        config: { scope: 'admin' },
        preValidation: withoutBody,
        schema: {
          ...common,
          summary: `A carrier's gateway: ${COMMANDS[command]}`,
          params: Type.Object({ ...NameParams.properties, uri: UriParam }),
          body: NoBody,
          response: { 200: CarrierSchema, ...problems },
        },
      },
      async (request) => {
        const { name, gateways } = configured(request.params.name);
        assertGateway(gateways, request.params.uri, `carrier ${name}`);
        await drains[command]({ gateway: request.params.uri });
        request.log.info({ by: request.tokenName, carrier: name, gateway: request.params.uri }, command);
        return shown(name);
      },
    );

    app.post(
      `/v1/retell/gateways/:uri/${command}`,
      {
        config: { scope: 'admin' },
        preValidation: withoutBody,
        schema: {
          ...common,
          summary: `A gateway of Retell's: ${COMMANDS[command]}`,
          params: Type.Object({ uri: UriParam }),
          body: NoBody,
          response: { 200: RetellSchema, ...problems },
        },
      },
      async (request) => {
        assertGateway(config.current.retell.gateways, request.params.uri, 'Retell');
        await drains[command]({ gateway: request.params.uri });
        request.log.info({ by: request.tokenName, gateway: request.params.uri }, command);
        return carriers.retell();
      },
    );
  }
};
