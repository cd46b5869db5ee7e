import Type from 'typebox';
import { strict } from './common.js';

export const Traces = Type.Object(
  {
    otlp_url: Type.String({
      description: 'Where an OpenTelemetry collector takes traces by OTLP over HTTP, the path included',
      format: 'otlp-url',
      examples: ['http://127.0.0.1:4318/v1/traces'],
    }),
    headers: Type.Unsafe<Record<string, string>>({
      type: 'object',
      description: 'Headers that are sent with them, such as a key',
      additionalProperties: {
        type: 'string',
        description: 'Its value',
        format: 'header-value',
        secret: true,
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own way to name a variable
        examples: ['${OTLP_KEY}'],
      },
      maxProperties: 20,
      default: {},
    }),
    sample: Type.Number({
      description: 'Which share of the calls has a trace: 1 is all of them',
      unit: 'share',
      default: 1,
      minimum: 0,
      maximum: 1,
    }),
  },
  { ...strict, description: 'A trace of each ended call for OpenTelemetry; without it none is made' },
);
