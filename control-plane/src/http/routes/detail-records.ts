import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { stringify } from 'csv-stringify';
import Type from 'typebox';
import type { DetailRecord } from '../../calls/detail-record.js';
import type { DetailRecordFilter, DetailRecords } from '../../calls/detail-records.js';
import { Problem } from '../problems.js';
import { DirectionSchema, EndedBySchema, ProblemSchema, RecordListSchema, StreamSchema } from '../schemas.js';

export interface DetailRecordRoutesOptions {
  detailRecords: DetailRecords;
}

const NDJSON = 'application/x-ndjson';
const CSV = 'text/csv';

/** The columns of a CSV file: members that are plain values. Lists are in the other formats only. */
const COLUMNS = [
  ...['id', 'direction', 'carrier', 'gateway', 'node', 'number', 'from', 'to', 'sip_call_id'],
  ...['retell_call_id', 'agent_id', 'created_at', 'ringing_at', 'answered_at', 'ended_at'],
  ...['source', 'srd_ms', 'setup_ms', 'duration_ms', 'sdd_ms', 'sip_status', 'q850_cause', 'ended_by'],
  ...['reason', 'reason_text', 'codec', 'retell_ended_at', 'retell_disconnection_reason', 'explanation'],
];

/** Ended calls. */
export const detailRecordRoutes: FastifyPluginAsyncTypebox<DetailRecordRoutesOptions> = async (
  app,
  { detailRecords },
) => {
  app.get(
    '/v1/records',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Call detail records: ended calls, in the order of their ends',
        description: `A page as JSON; all of them with \`Accept: ${NDJSON}\` or \`Accept: ${CSV}\`.`,
        tags: ['records'],
        security: [{ bearer: [] }],
        querystring: Type.Object(
          {
            from: Type.Optional(
              Type.String({ format: 'date-time', description: 'calls that ended then or later' }),
            ),
            to: Type.Optional(Type.String({ format: 'date-time', description: 'calls that ended before' })),
            direction: Type.Optional(DirectionSchema),
            carrier: Type.Optional(Type.String({ maxLength: 32 })),
            number: Type.Optional(Type.String({ maxLength: 32 })),
            ended_by: Type.Optional(EndedBySchema),
            limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'of a page' }),
            cursor: Type.Optional(
              Type.String({ maxLength: 200, description: 'next_cursor of the page before' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          200: {
            description: 'Call detail records',
            content: {
              'application/json': { schema: RecordListSchema, StreamSchema },
              [NDJSON]: { schema: StreamSchema('one record on each line') },
              [CSV]: { schema: StreamSchema('plain values only') },
            },
          },
          '4xx': ProblemSchema,
          '5xx': ProblemSchema,
        },
      },
    },
    async (request, reply) => {
      const { from, to, limit, cursor, ...rest } = request.query;
      const filter: DetailRecordFilter = { ...rest, fromMs: timeOf(from), toMs: timeOf(to) };
      const { accept = '' } = request.headers;
      if (accept.includes(NDJSON)) {
        return reply.type(NDJSON).send(Readable.from(linesOf(detailRecords.all(filter))));
      }
      if (accept.includes(CSV)) {
        const csv = stringify({ header: true, columns: COLUMNS });
        const records = Readable.from(detailRecords.all(filter));
        records.once('error', (error) => csv.destroy(error));
        csv.once('close', () => records.destroy());
        return reply.type(`${CSV}; charset=utf-8`).send(records.pipe(csv));
      }
      try {
        return reply.type('application/json').send(await detailRecords.page(filter, limit, cursor));
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        throw new Problem('validation_failed', 'querystring.cursor is not one that this list handed out');
      }
    },
  );
};

function timeOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text);
}

async function* linesOf(records: AsyncIterable<DetailRecord>): AsyncGenerator<string> {
  for await (const record of records) yield `${JSON.stringify(record)}\n`;
}
