import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../test/harness/await.js';
import { startPeer } from '../test/harness/scene.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST, startStack } from '../test/harness/stack.js';
import { startBareKamailio } from './bare-kamailio.js';
import { Cleanup } from './cleanup.js';
import { now } from './clock.js';
import { Dialer, type Sample, type Target } from './dialer.js';
import {
  type RegisteredSample,
  type Samples,
  type Series,
  summariseSeries,
  WAYS,
  type Way,
} from './post-dial-delay-figures.js';
import { Questions } from './questions.js';
import { RetellApiServer } from './retell-api.js';

export interface PostDialDelayOptions {
  /** Calls each way in each series. */
  calls: number;
  /** Calls each way before that, which do not count. */
  warmUp: number;
  /** Calls a second in the second series. */
  rate: number;
  /** How long Retell's API thinks about a request, in ms. */
  retellMs: number;
}

export interface PostDialDelay {
  options: PostDialDelayOptions;
  series: Series[];
}

const REGISTER_NUMBER = '+14155550101';
const WORKERS = 4;
/** As much as startStack and kamailioProcess give ours. */
const MEMORY = { sharedMemoryMb: 64, packageMemoryMb: 16 };

/**
 * Places the same calls through a bare Kamailio and through the proxy, to numbers of both methods, all in one
 * run and taking turns, so that what disturbs the machine hits all alike.
 *
 * @throws Error where a call fails or a part does not come up
 */
export async function measurePostDialDelay(options: PostDialDelayOptions): Promise<PostDialDelay> {
  const cleanup = new Cleanup();
  try {
    const scene = await startBenchScene(cleanup, options);
    await oneByOne(scene, options.warmUp);
    const alone = await oneByOne(scene, options.calls);
    const loaded = await atRate(scene, options.calls, options.rate);
    return {
      options,
      series: [
        summariseSeries('one after the other', await timed(scene, alone)),
        summariseSeries(`${options.rate} calls a second`, await timed(scene, loaded)),
      ],
    };
  } finally {
    await cleanup.run();
  }
}

interface BenchScene {
  dialer: Dialer;
  targets: Record<Way, Target>;
  questions: Questions;
  api: RetellApiServer;
}

async function startBenchScene(t: Cleanup, { retellMs }: PostDialDelayOptions): Promise<BenchScene> {
  const carrier = await startPeer(t, { host: CARRIER_HOST, trace: false });
  const retell = await startPeer(t, { host: RETELL_HOST, trace: false });
  const api = await RetellApiServer.start(t, { host: RETELL_HOST, delayMs: retellMs });
  const bare = await startBareKamailio(t, {
    ...{ workers: WORKERS, ...MEMORY },
    ...{ asking: carrier, answering: retell.uri('ready') },
  });
  const stack = await startStack(t, {
    gateways: [{ uri: `sip:${retell.host}:${retell.port}` }],
    controlPlane: 'process',
    config: {
      sip: { workers: WORKERS },
      retell: { api_key: 'key_bench', base_url: api.url, concurrency_interval_s: 0 },
      numbers: [{ number: NUMBER }, { number: REGISTER_NUMBER, method: 'register', agent_id: 'agent_bench' }],
    },
  });
  const ours = (number: string): Target => ({
    ...stack.sip,
    requestUri: `sip:${number}@${stack.sip.host}:${stack.sip.port}`,
  });
  return {
    dialer: new Dialer(carrier, retell),
    targets: {
      bare: { ...bare, requestUri: retell.uri(NUMBER) },
      trunk: ours(NUMBER),
      register: ours(REGISTER_NUMBER),
    },
    questions: Questions.start(t, stack.redisUrl, 'node1'),
    api,
  };
}

type Placed = Record<Way, Sample[]>;

/** One call at a time, the ways taking turns. */
async function oneByOne({ dialer, targets }: BenchScene, calls: number): Promise<Placed> {
  const samples: Placed = { bare: [], trunk: [], register: [] };
  for (let round = 0; round < calls; round += 1) {
    for (const way of WAYS) samples[way].push(await dialer.place(targets[way]));
  }
  return samples;
}

/** A second of calls at the rate, the ways taking turns, until each has had its calls. */
async function atRate({ dialer, targets }: BenchScene, calls: number, rate: number): Promise<Placed> {
  const samples: Placed = { bare: [], trunk: [], register: [] };
  for (let done = 0; done < calls; done += rate) {
    for (const way of WAYS) {
      const started = now();
      const block = Array.from({ length: Math.min(rate, calls - done) }, async (_, index) => {
        await delay(Math.max(0, started + (index * 1000) / rate - now()));
        return dialer.place(targets[way]);
      });
      samples[way].push(...(await Promise.all(block)));
    }
  }
  return samples;
}

/** The calls with what became known of their registrations on the way. */
async function timed({ questions, api }: BenchScene, { bare, trunk, register }: Placed): Promise<Samples> {
  const withTimes = register.map(async (sample): Promise<RegisteredSample> => {
    const { asked } = await eventually('the question', () => {
      const asked = questions.seen.get(sample.id);
      return asked !== undefined && { asked };
    });
    const request = await eventually('the request', () => api.requests.get(sample.id));
    return { ...sample, asked, request };
  });
  return { bare, trunk, register: await Promise.all(withTimes) };
}
