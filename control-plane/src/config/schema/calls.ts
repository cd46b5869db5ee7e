import Type from 'typebox';
import { limits, maxDurationOfAll, strict } from './common.js';

/** What is done with calls that are over on one side only. */
function reaping(description: string) {
  return Type.Enum(['off', 'observe', 'on'], {
    description: `${description}. \`observe\`: it is only told of`,
    default: 'observe',
  });
}

const Reaper = Type.Object(
  {
    stop_at_retell: reaping(
      'Stop a call at Retell that goes on there after its end here. Needs `retell.api_key`',
    ),
    end_dialogs: reaping('Hang up a call that goes on here after its end at Retell'),
    grace_s: Type.Integer({
      description: 'How long the other side may take before it is looked at',
      unit: 's',
      default: 10,
      minimum: 0,
      maximum: 3600,
    }),
  },
  {
    ...strict,
    description: 'Calls that are over on one side only',
    default: {},
  },
);

export const Calls = Type.Object(
  {
    max_duration_s: maxDurationOfAll,
    keepalive_s: Type.Integer({
      description:
        'How often both sides of an answered call are asked with OPTIONS if they are there; 30 or more, 0 is never',
      unit: 's',
      default: 0,
      minimum: 0,
      maximum: 3600,
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
    reconcile_interval_s: Type.Integer({
      description: "How often Kamailio's dialogs and Retell's ongoing calls are compared with the records",
      unit: 's',
      default: 30,
      minimum: 5,
      maximum: 3600,
    }),
    reaper: Reaper,
    limits: limits('of all numbers and carriers together'),
  },
  { ...strict, description: 'Limits of every call', default: {} },
);
