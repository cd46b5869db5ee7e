import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import type { HangupFilter } from '../../calls/hangup-jobs/filter.js';
import type { HangupJob } from '../../calls/hangup-jobs/job.js';
import { type HangupJobs, JOB_CALLS_LIMIT } from '../../calls/hangup-jobs/jobs.js';
import { iso, isoOrNull } from '../../calls/iso.js';
import type { ActiveConfig } from '../../config/active.js';
import type { Config } from '../../config/schema.js';
import { Problem } from '../problems.js';
import { ProblemSchema } from '../schemas.js';
import {
  HangupDryRunSchema,
  HangupJobBody,
  HangupJobCallsSchema,
  HangupJobListSchema,
  HangupJobSchema,
  HangupOutcomeSchema,
} from '../schemas-hangups.js';

export interface HangupRoutesOptions {
  config: ActiveConfig;
  hangupJobs: HangupJobs;
}

/** 10,000 ids of calls need more than other bodies. */
const BODY_LIMIT = 1024 * 1024;
/** Ids that a dry run shows. */
const DRY_RUN_CALLS = 100;

const IdParams = Type.Object({
  id: Type.String({ maxLength: 64, description: 'Id of the hangup job' }),
});
const common = { tags: ['hangups'], security: [{ bearer: [] }] };
const problems = { '4xx': ProblemSchema, '5xx': ProblemSchema };

/** Hangups of many calls at once. */
export const hangupRoutes: FastifyPluginAsyncTypebox<HangupRoutesOptions> = async (
  app,
  { config, hangupJobs },
) => {
  app.post(
    '/v1/hangups',
    {
      config: { scope: 'control' },
      bodyLimit: BODY_LIMIT,
      schema: {
        ...common,
        summary: 'End many calls, at a bounded rate',
        body: HangupJobBody,
        response: { 200: HangupDryRunSchema, 202: HangupJobSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { filter, all, dry_run, rate, reason } = request.body;
      assertMeant(filter, all);
      const callIds = await hangupJobs.select(filter);
      if (callIds.length === 0) assertKnown(filter, config.current);
      if (dry_run) {
        return reply.code(200).send({ matched: callIds.length, calls: callIds.slice(0, DRY_RUN_CALLS) });
      }
      if (callIds.length > JOB_CALLS_LIMIT)
        throw invalid(
          'filter',
          `fits ${callIds.length} calls, more than ${JOB_CALLS_LIMIT}: narrow it, for instance by node`,
        );
      const job = await hangupJobs.create({ filter, rate, reason, by: request.tokenName }, callIds);
      request.log.info({ by: job.by, hangup_job: job.id, total: job.total, rate }, 'hangup job made');
      return reply.code(202).header('location', `/v1/hangups/${job.id}`).send(jobView(job));
    },
  );

  app.get(
    '/v1/hangups',
    {
      config: { scope: 'read' },
      schema: {
        ...common,
        summary: 'Hangup jobs that run or ended in the last 24 hours, newest first, at most a hundred',
        response: { 200: HangupJobListSchema, ...problems },
      },
    },
    async () => ({ items: (await hangupJobs.list()).map(jobView) }),
  );

  app.get(
    '/v1/hangups/:id',
    {
      config: { scope: 'read' },
      schema: {
        ...common,
        summary: 'One hangup job and how far it is',
        params: IdParams,
        response: { 200: HangupJobSchema, ...problems },
      },
    },
    async (request) => jobView(await hangupJobs.get(request.params.id)),
  );

  app.get(
    '/v1/hangups/:id/calls',
    {
      config: { scope: 'read' },
      schema: {
        ...common,
        summary: 'What became of the calls of a hangup job, in the order in which they were done with',
        params: IdParams,
        querystring: Type.Object(
          {
            outcome: Type.Optional(HangupOutcomeSchema),
            limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
            cursor: Type.Optional(
              Type.String({ maxLength: 200, description: 'next_cursor of the page before' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: { 200: HangupJobCallsSchema, ...problems },
      },
    },
    async (request) => {
      const { outcome, limit, cursor } = request.query;
      try {
        return await hangupJobs.results(request.params.id, outcome, limit, cursor);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        throw new Problem('validation_failed', 'querystring.cursor is not one that this list handed out');
      }
    },
  );

  app.post(
    '/v1/hangups/:id/cancel',
    {
      config: { scope: 'control' },
      preValidation: async (request) => {
        request.body ??= {};
      },
      schema: {
        ...common,
        summary: 'Start no further call of a hangup job; those in hand get their outcome',
        params: IdParams,
        body: Type.Object({}, { additionalProperties: false }),
        response: { 200: HangupJobSchema, ...problems },
      },
    },
    async (request) => {
      const job = await hangupJobs.cancel(request.params.id);
      const { id, pending, outcomes } = job;
      request.log.info({ by: request.tokenName, hangup_job: id, pending, outcomes }, 'hangup job cancelled');
      return jobView(job);
    },
  );
};

/** Nobody ends all calls by a typo. */
function assertMeant(filter: HangupFilter, all: boolean): void {
  const empty = Object.keys(filter).length === 0;
  if (empty && !all) throw invalid('filter', 'is empty, which means all calls: send "all": true with it');
  if (!empty && all) throw invalid('all', 'goes with an empty filter alone: leave out one of them');
}

/** A name that no open call has and the configuration does not know is a typo. */
function assertKnown(filter: HangupFilter, { carriers, numbers, kamailio }: Config): void {
  const known = {
    carrier: carriers.map(({ name }) => name),
    number: numbers.map(({ number }) => number),
    node: kamailio.nodes.map(({ name }) => name),
  };
  for (const member of ['carrier', 'number', 'node'] as const) {
    const name = filter[member];
    if (name !== undefined && !known[member].includes(name))
      throw invalid(
        `filter.${member}`,
        `${name} is not in the configuration, and no open call of it fits: correct the name`,
      );
  }
}

function invalid(member: string, message: string): Problem {
  const field = `body.${member}`;
  return new Problem('validation_failed', `${field} ${message}`, { errors: [{ field, message }] });
}

function jobView(job: HangupJob) {
  const { finished_at, call_ids, reason = null, filter, ...others } = job;
  return {
    ...others,
    reason,
    filter: { ...filter, ...(call_ids === undefined ? {} : { call_ids }) },
    created_at: iso(job.created_at),
    finished_at: isoOrNull(finished_at),
  };
}
