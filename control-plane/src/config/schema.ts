import Type from 'typebox';
import { Api } from './schema/api.js';
import { Calls } from './schema/calls.js';
import { Capture } from './schema/capture.js';
import { Carriers } from './schema/carriers.js';
import { strict } from './schema/common.js';
import { Numbers } from './schema/numbers.js';
import { Records } from './schema/records.js';
import { Retell } from './schema/retell.js';
import { Kamailio, Log, Redis } from './schema/runtime.js';
import { Sip } from './schema/sip.js';
import { Traces } from './schema/traces.js';
import { Transfers } from './schema/transfers.js';
import { Webhooks } from './schema/webhooks.js';

/**
 * The schema of config.yaml, and with it the type of the configuration.
 *
 * To add a key, add it to its section in schema/ (description, unit of a quantity, default or example) and in
 * docs/reference/config.md. `format` names a parser of formats.ts. `secret` keeps a value out of every message.
 * `default_text` is how the documentation writes a default that depends on the machine.
 */

/** What code that walks the schema reads of a key. */
export interface SchemaNode {
  type?: string | string[];
  description?: string;
  unit?: string;
  default?: unknown;
  default_text?: string;
  examples?: unknown[];
  secret?: boolean;
  format?: string;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  required?: string[];
  properties?: Record<string, SchemaNode>;
  items?: SchemaNode;
  /** Of a section whose keys are free: what each holds, `true` for anything. */
  additionalProperties?: boolean | SchemaNode;
}

/** The keywords that this schema adds to JSON Schema's own. */
export const schemaKeywords = ['unit', 'secret', 'default_text'];

/** JSON Schema of the whole file. */
export const ConfigSchema = Type.Object(
  {
    sip: Sip,
    retell: Retell,
    numbers: Numbers,
    carriers: Carriers,
    transfers: Transfers,
    calls: Calls,
    records: Records,
    webhooks: Webhooks,
    capture: Type.Optional(Capture),
    traces: Type.Optional(Traces),
    api: Api,
    redis: Type.Optional(Redis),
    kamailio: Kamailio,
    log: Log,
  },
  strict,
);

/** The configuration as the program uses it: checked, variables filled in, every default applied. */
export type Config = Type.Static<typeof ConfigSchema>;

/** The same schema for code that walks it. */
export const configNode = ConfigSchema as unknown as SchemaNode;
