import Type from 'typebox';

/** The parts that several sections of the schema share. */

/** Unknown keys are typing errors more often than not. */
export const strict = { additionalProperties: false };

/**
 * A list of gateways.
 *
 * @param one describes one entry, @param all the list, @param uri is an example
 */
export function gateways({ one, all, uri }: { one: string; all: string; uri: string }) {
  return Type.Array(
    Type.Object(
      {
        uri: Type.String({
          description: 'sip:host, with :port and ;transport=udp, tcp or tls where wanted',
          format: 'sip-uri',
          examples: [uri],
        }),
        weight: Type.Integer({
          description: 'Share of the calls among gateways of one priority',
          unit: 'relative share',
          default: 1,
          minimum: 1,
          maximum: 100,
        }),
        priority: Type.Integer({
          description:
            'The lowest number is used first, the next when none of those before it takes the call',
          unit: 'rank',
          default: 1,
          minimum: 1,
          maximum: 100,
        }),
      },
      { ...strict, description: one },
    ),
    { description: all, minItems: 1, maxItems: 64 },
  );
}

/** @param whose calls are counted, as in "calls of this carrier" */
export function limits(whose: string) {
  return Type.Optional(
    Type.Object(
      {
        concurrent_calls: Type.Optional(
          Type.Integer({
            description: `Calls ${whose} at once, those that still ring included`,
            unit: 'calls',
            minimum: 1,
            maximum: 100_000,
            examples: [200],
          }),
        ),
        calls_per_second: Type.Optional(
          Type.Integer({
            description: `New calls ${whose} in each second`,
            unit: 'calls/s',
            minimum: 1,
            maximum: 100_000,
            examples: [20],
          }),
        ),
      },
      { ...strict, description: `Limits of the calls ${whose}` },
    ),
  );
}

/** Bounds of every longest duration of a call. */
const MAX_DURATION = { unit: 's', minimum: 1, maximum: 86_400 };

/** The longest duration of a call, for all of them. */
export const maxDurationOfAll = Type.Integer({
  description: 'An answered call is ended after this time',
  default: 7200,
  ...MAX_DURATION,
});

/** @param whose calls it is for, as in "calls of this carrier" */
export function maxDuration(whose: string) {
  return Type.Optional(
    Type.Integer({
      description: `An answered call ${whose} is ended after this time, where calls.max_duration_s is not less`,
      ...MAX_DURATION,
      examples: [3600],
    }),
  );
}

export function digestUsername(description: string, example: string) {
  return Type.String({ description, format: 'digest-username', examples: [example] });
}

export function digestPassword(description: string, example: string) {
  return Type.String({ description, format: 'digest-password', secret: true, examples: [example] });
}

export function tlsName(description: string, example: string) {
  return Type.Optional(Type.String({ description, format: 'host-name', examples: [example] }));
}
