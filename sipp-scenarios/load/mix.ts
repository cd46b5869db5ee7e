import { readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import Type from 'typebox';
import { parseDocument } from 'yaml';
import { describeViolation, showWith } from '../../control-plane/src/config/describe.js';
import { ConfigError, type ConfigProblem } from '../../control-plane/src/config/errors.js';
import { SCENARIOS } from '../scenarios.js';

const strict = { additionalProperties: false };

/** Scenarios that can be mixed: digest is a setting of the whole proxy. */
const MIXABLE = SCENARIOS.filter(({ digest }) => digest === undefined).map(({ name }) => name);

const MixSchema = Type.Object(
  {
    calls: Type.Array(
      Type.Object(
        {
          scenario: Type.Enum(MIXABLE, { description: 'What is played', examples: ['inbound-answered'] }),
          share: Type.Number({
            description: 'Share of the calls, relative to the others',
            exclusiveMinimum: 0,
            maximum: 1_000_000,
            examples: [70],
          }),
          length: Type.Optional(
            Type.Object(
              {
                mean_s: Type.Number({
                  description: 'Mean length',
                  minimum: 0,
                  maximum: 7200,
                  examples: [30],
                }),
                distribution: Type.Enum(['fixed', 'exponential'], { default: 'fixed' }),
              },
              strict,
            ),
          ),
        },
        strict,
      ),
      { minItems: 1, maxItems: 20, examples: [[{ scenario: 'inbound-answered', share: 1 }]] },
    ),
    ramp: Type.Array(
      Type.Object(
        {
          at: Type.Number({ description: 'Share of the duration', minimum: 0, maximum: 1, examples: [0.5] }),
          factor: Type.Number({ description: 'Of the rate', minimum: 0, maximum: 10, examples: [1] }),
        },
        strict,
      ),
      { default: [], maxItems: 100 },
    ),
  },
  strict,
);

/** A file of --mix. */
export type Mix = Type.Static<typeof MixSchema>;

const ajv = new Ajv({ allErrors: true, useDefaults: true, verbose: true });
const validate = ajv.compile(MixSchema);

/** @throws ConfigError with everything that is wrong, each with its path in the file */
export async function readMix(file: string): Promise<Mix> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new ConfigError([{ path: '', message: `${file} cannot be read: ${error.message}` }]);
  });
  return parseMix(text);
}

/** @throws ConfigError with everything that is wrong, each with its path in the file */
export function parseMix(text: string): Mix {
  const document = parseDocument(text);
  const broken = [...document.errors, ...document.warnings];
  if (broken.length > 0) throw new ConfigError(broken.map(({ message }) => ({ path: '', message })));
  const value: unknown = document.toJS() ?? {};
  validate(value);
  const show = showWith(new Map());
  const problems = (validate.errors ?? []).map((error) => describeViolation(error, show));
  if (problems.length === 0) problems.push(...orderOf(value as Mix));
  if (problems.length > 0) throw new ConfigError(problems);
  return value as Mix;
}

function orderOf({ ramp }: Mix): ConfigProblem[] {
  return ramp.flatMap(({ at }, i) =>
    at > (ramp[i - 1]?.at ?? -1)
      ? []
      : [{ path: `ramp[${i}].at`, message: `${at} does not come after the one before; write them in order` }],
  );
}
