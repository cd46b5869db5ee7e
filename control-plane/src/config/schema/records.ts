import Type from 'typebox';
import { strict } from './common.js';

export const Records = Type.Object(
  {
    directory: Type.Optional(
      Type.String({
        description:
          'Directory for call detail records as files, records-YYYY-MM-DD.jsonl, one for each day (UTC); without it none are written',
        format: 'file',
        examples: ['/var/lib/retell-proxy/records'],
      }),
    ),
    file_days: Type.Integer({
      description: 'How long such a file is kept',
      unit: 'days',
      default: 90,
      minimum: 1,
      maximum: 3660,
    }),
  },
  { ...strict, description: 'Call detail records as files', default: {} },
);
