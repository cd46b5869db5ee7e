import Type, { type TSchema } from 'typebox';

const orNull = <T extends TSchema>(schema: T, description: string) =>
  Type.Union([schema, Type.Null()], { description });
const Count = (description: string) => orNull(Type.Integer(), description);
const ByNode = <T extends TSchema>(schema: T) =>
  Type.Record(Type.String(), Type.Union([schema, Type.Null()]), {
    description: 'What each Kamailio node says; null for one that does not answer',
  });

const gatewayFields = {
  state: Type.Enum(['up', 'down', 'drained', 'unknown'], {
    description: 'unknown: it is not probed, or no node that answers holds it',
  }),
  latency_ms: orNull(
    Type.Number(),
    'Smoothed time of its replies to OPTIONS; null where none is known or it is under 1 ms',
  ),
  calls: Count('Calls up or in setup; null where they could not be counted'),
};
const GatewaySchema = Type.Object({
  uri: Type.String({ description: 'SIP URI' }),
  ...gatewayFields,
  weight: Type.Integer({ description: 'Share of the calls among gateways of one priority' }),
  priority: Type.Integer({ description: 'The lowest number is used first' }),
  nodes: ByNode(Type.Object(gatewayFields)),
});

export const CarrierSchema = Type.Object(
  {
    name: Type.String(),
    drained: Type.Boolean({ description: 'Whether it gets no new calls, and none are taken from it' }),
    calls: Count('Calls up or in setup, over all nodes that answer'),
    limits: Type.Object({
      concurrent_calls: Count('Most calls at once, on each node'),
      calls_per_second: Count('Most new calls in a second, on each node'),
    }),
    prefixes: Type.Array(Type.String(), { description: 'Outbound destinations that it takes' }),
    registration: orNull(
      Type.Object({
        registrar: Type.String(),
        registered: orNull(Type.Boolean(), 'Whether all nodes that answer are registered'),
      }),
      'The SIP registration at the carrier; null where none is configured',
    ),
    gateways: Type.Array(GatewaySchema),
    nodes: ByNode(
      Type.Object({
        calls: Count('Calls up or in setup'),
        drained: Type.Boolean(),
        registered: orNull(Type.Boolean(), 'null where no registration is configured'),
      }),
    ),
  },
  { $id: 'Carrier' },
);

export const CarrierListSchema = Type.Object({ items: Type.Array(CarrierSchema) }, { $id: 'CarrierList' });

export const RetellSchema = Type.Object(
  {
    calls: Count('Calls up or in setup, over all nodes that answer'),
    gateways: Type.Array(GatewaySchema),
    concurrency: orNull(
      Type.Object({
        at: Type.String({ format: 'date-time', description: 'When Retell said it' }),
        limit: Count('Calls that Retell takes at once, burst included; null where it does not say'),
        current: Type.Integer({ description: 'Calls that it has, also of others of the workspace' }),
        ours: Type.Integer({ description: 'Those of the nodes that answered' }),
        allowed: Count('Calls that the proxy may have up for Retell'),
        allowed_outbound: Count('Calls that it may have up before an outbound one is refused'),
      }),
      "Retell's last answer; null before the first, and where it is not asked",
    ),
    nodes: ByNode(Type.Object({ calls: Type.Integer({ description: 'Calls up or in setup' }) })),
  },
  { $id: 'Retell' },
);

const ListChangeSchema = Type.Object({
  count: Type.Integer(),
  names: Type.Array(Type.String(), { description: 'The first hundred' }),
});
const ListChangesSchema = Type.Object({
  added: ListChangeSchema,
  removed: ListChangeSchema,
  changed: ListChangeSchema,
});

export const ReloadSchema = Type.Object(
  {
    outcome: Type.Enum(['applied', 'incomplete'], {
      description:
        'applied: every node holds the configuration; incomplete: it is in force, and a node does not hold it yet',
    }),
    changes: Type.Object({
      carriers: ListChangesSchema,
      numbers: ListChangesSchema,
      webhooks: ListChangesSchema,
      keys: Type.Array(Type.String(), { description: 'Other keys that changed, such as retell.gateways' }),
    }),
    requires_restart: Type.Array(Type.String(), {
      description: 'Changed keys that keep their old value until a restart',
    }),
    nodes: Type.Array(
      Type.Object({
        name: Type.String(),
        applied: Type.Boolean(),
        detail: Type.String({ description: 'What was read anew, or why it is not applied' }),
      }),
    ),
  },
  { $id: 'Reload' },
);
