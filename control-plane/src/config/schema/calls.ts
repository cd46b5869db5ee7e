import Type from 'typebox';
import { limits, strict } from './common.js';

export const Calls = Type.Object(
  {
    max_duration_s: Type.Integer({
      description: 'An answered call is ended after this time',
      unit: 's',
      default: 7200,
      minimum: 1,
      maximum: 86_400,
    }),
    ring_timeout_s: Type.Integer({
      description: 'A call that is not answered is given up after this time',
      unit: 's',
      default: 120,
      minimum: 1,
      maximum: 600,
    }),
    hangup_timeout_ms: Type.Integer({
      description: 'A hangup that the wire has not confirmed by then has failed',
      unit: 'ms',
      default: 5000,
      minimum: 100,
      maximum: 60_000,
    }),
    retention_days: Type.Integer({
      description: 'How long the record of an ended call is kept',
      unit: 'days',
      default: 7,
      minimum: 1,
      maximum: 365,
    }),
    limits: limits('of all numbers and carriers together'),
  },
  { ...strict, description: 'Limits of every call', default: {} },
);
