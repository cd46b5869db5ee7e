import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ROOT } from '../control-plane/src/cli/paths.js';
import { freePort } from '../control-plane/src/cli/ports.js';
import { RunningProcess } from '../control-plane/src/cli/process.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST } from '../test/harness/stack.js';
import { type BudgetResult, judge } from './budget.js';
import { Cleanup } from './cleanup.js';
import { now } from './clock.js';
import { type Summary, summarise } from './statistics.js';

export interface StartOptions {
  /** How often each way is started. */
  times: number;
}

/** Until the line `ready`, in ms. */
export interface StartTimes extends Summary {
  longest: number;
  all: number[];
}

export interface StartFigures {
  options: StartOptions;
  /** `npm start` with a configuration: Redis, Kamailio and the control plane. */
  configured: StartTimes;
  /** What `npm start` does without one: the demo, with a simulated Retell besides. */
  demo: StartTimes;
}

const BUDGET_S = 5;
const HOST = '127.0.0.1';
/** A start that is not ready by then has failed, in ms. */
const GIVE_UP_MS = 120_000;

/** Starts both ways in turns. The first start of each does not count: it may find something to install or to build. */
export async function measureStart(options: StartOptions): Promise<StartFigures> {
  const configured: number[] = [];
  const demo: number[] = [];
  for (let n = 0; n <= options.times; n += 1) {
    configured.push(await timeOf(startConfigured));
    demo.push(await timeOf(startDemo));
  }
  return { options, configured: timesOf(configured.slice(1)), demo: timesOf(demo.slice(1)) };
}

function timesOf(all: number[]): StartTimes {
  return { ...summarise(all), longest: Math.max(...all), all };
}

/** A command, and where and with what it is run. */
interface Command {
  command: string;
  args: string[];
  cwd: string;
  env: Record<string, string>;
}

/** Starts once in an empty folder and stops again. @returns ms until it is ready */
async function timeOf(prepare: (directory: string) => Promise<Command>): Promise<number> {
  const cleanup = new Cleanup();
  try {
    const directory = await mkdtemp(join(tmpdir(), 'retell-proxy-start-'));
    cleanup.teardown(() => rm(directory, { recursive: true, force: true }));
    const command = await prepare(directory);
    const started = now();
    let isReady = () => {};
    const ready = new Promise<void>((resolve) => {
      isReady = resolve;
    });
    const spec = { name: 'npm start', ...command, ready: () => ready, readyTimeoutMs: GIVE_UP_MS };
    const running = new RunningProcess({ ...spec, stopTimeoutMs: 20_000 }, (line) => {
      if (line === 'ready') isReady();
    });
    cleanup.teardown(() => running.stop());
    await running.ready();
    return now() - started;
  } finally {
    await cleanup.run();
  }
}

async function startConfigured(directory: string): Promise<Command> {
  const [sipPort, apiPort, rpcPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const configFile = join(directory, 'config.yaml');
  await writeFile(
    configFile,
    stringify({
      sip: { listen: [`udp:${HOST}:${sipPort}`, `tcp:${HOST}:${sipPort}`] },
      retell: { gateways: [{ uri: `sip:${RETELL_HOST}:${sipPort}` }], networks: [RETELL_HOST] },
      numbers: [{ number: NUMBER }],
      carriers: [
        {
          name: 'acme',
          networks: [CARRIER_HOST],
          gateways: [{ uri: `sip:${CARRIER_HOST}:${sipPort}` }],
          probe: false,
        },
      ],
      api: {
        listen: `${HOST}:${apiPort}`,
        tokens: [{ name: 'bench', token: 'bench-0123456789abcdef', scopes: ['read'] }],
      },
      kamailio: { nodes: [{ name: 'node1', rpc_url: `http://${HOST}:${rpcPort}/RPC` }] },
    }),
  );
  const env = { CONFIG_FILE: configFile, RETELL_PROXY_VAR: join(directory, 'var') };
  return { command: 'npm', args: ['start'], cwd: ROOT, env };
}

/** In a folder without a config.yaml: npm itself would go to that of the checkout. */
async function startDemo(directory: string): Promise<Command> {
  const names = ['SIP', 'RETELL_SIP', 'RETELL_HTTP', 'API', 'RPC'];
  const ports = await Promise.all(names.map(async (name) => [`DEMO_${name}_PORT`, String(await freePort())]));
  const cwd = join(directory, 'empty');
  await mkdir(cwd);
  const script = 'sh "$0/scripts/setup.sh" && exec node "$0/dist/control-plane/src/cli/main.js" start';
  const env = {
    ...Object.fromEntries(ports),
    ...{ CONFIG_FILE: '', API_TOKEN: '', RETELL_PROXY_VAR: join(directory, 'var') },
  };
  return { command: 'sh', args: ['-c', script, ROOT], cwd, env };
}

export function budgetsOfStart({ configured, demo }: StartFigures): BudgetResult[] {
  return [
    ['npm start with a configuration', configured] as const,
    ['npm start as the demo', demo] as const,
  ].map(([name, { longest, all }]) =>
    judge({
      name: `${name}: ready, the longest of ${all.length}`,
      ...{ measured: longest / 1000, unit: 's', limit: { atMost: BUDGET_S } },
    }),
  );
}

/** The figures as Markdown. */
export function reportStart({ configured, demo }: StartFigures): string {
  const row = (name: string, { median, longest, all }: StartTimes) => {
    const cells = [median, longest].map((ms) => (ms / 1000).toFixed(2));
    return `| ${[name, ...cells, all.map((ms) => (ms / 1000).toFixed(2)).join(', ')].join(' | ')} |`;
  };
  return [
    'From the command to its line `ready`, in seconds, each in an empty folder of its own with everything installed and built:',
    '',
    '| way | median | longest | each |',
    '| --- | ---: | ---: | --- |',
    row('`npm start` with a configuration: Redis, Kamailio, control plane', configured),
    row('the same as the demo, with a simulated Retell', demo),
    '',
  ].join('\n');
}
