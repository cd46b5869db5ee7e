import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isWildcard, parseHostPort, parseRpcUrl, parseSipListen } from '../config/addresses.js';
import { loadConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { demoRetell } from './demo-settings.js';
import { kamailioDirectory, varDirectory } from './paths.js';
import { assertPortFree, freePort } from './ports.js';
import { controlPlaneProcess, kamailioProcess, redisProcess, simulatorProcess } from './processes.js';
import { signalled } from './serve.js';
import { Supervisor } from './supervisor.js';

export interface StartOptions {
  /** The configuration, or undefined for the demo. */
  configFile: string | undefined;
  demoConfigFile: string;
}

const LOOPBACK = '127.0.0.1';

/**
 * `npm start`: runs Redis (unless one is configured), Kamailio and the control plane, with no configuration
 * the demo's simulated Retell too, until Ctrl-C. A part that dies is started again. SIGHUP is passed on to the
 * control plane, which puts the configuration file in force anew.
 *
 * @throws ConfigError, PortError or SupervisorError: one line each
 */
export async function start(options: StartOptions): Promise<void> {
  const demo = options.configFile === undefined;
  const configFile = resolve(options.configFile ?? options.demoConfigFile);
  const directory = varDirectory();
  await mkdir(directory, { recursive: true });
  if (demo) await makeApiToken(directory);
  const config = await loadConfig(configFile);
  const node = config.kamailio.nodes[0];
  if (node === undefined) throw new Error('kamailio.nodes is empty');
  const rpcToken = node.rpc_token ?? randomBytes(24).toString('base64url');
  await assertPortsFree(config, demo);

  const supervisor = new Supervisor({ log: say, onOutput: (name, line) => say(`${name}: ${line}`) });
  const asked = signalled();
  try {
    const started = bringUp({ config, configFile, demo, directory, node: node.name, rpcToken, supervisor });
    // Ctrl-C also ends a start that is still under way; what it was waiting for then fails and is of no interest.
    started.catch(() => {});
    await Promise.race([started, asked]);
    say(`${await asked}: stopping`);
  } finally {
    await supervisor.stopAll();
  }
  say('stopped');
}

interface BringUp {
  config: Config;
  configFile: string;
  demo: boolean;
  directory: string;
  node: string;
  rpcToken: string;
  supervisor: Supervisor;
}

async function bringUp({
  config,
  configFile,
  demo,
  directory,
  node,
  rpcToken,
  supervisor,
}: BringUp): Promise<void> {
  let redisUrl = config.redis?.url;
  if (redisUrl === undefined) {
    const port = await freePort(LOOPBACK);
    await supervisor.start(await redisProcess({ directory: join(directory, 'redis'), host: LOOPBACK, port }));
    redisUrl = `redis://${LOOPBACK}:${port}`;
  }
  const apiListen = reachable(config.api.listen);
  if (demo) {
    const webhookUrl = `http://${apiListen}/webhooks/retell`;
    const apiKey = config.retell.api_key ?? '';
    const terminationUri = (config.sip.listen[0] ?? '').replace(/^(\w+):(.*)$/, 'sip:$2;transport=$1');
    await supervisor.start(simulatorProcess({ ...demoRetell(), apiKey, webhookUrl, terminationUri }));
  }
  const dataDirectory = config.kamailio.nodes[0]?.data_directory ?? kamailioDirectory();
  const kamailio = { config, node, directory: resolve(dataDirectory), redisUrl, rpcToken };
  await supervisor.start(await kamailioProcess(kamailio));
  const controlPlane = controlPlaneProcess({ configFile, apiListen, redisUrl, rpcToken });
  await supervisor.start(controlPlane);
  process.on('SIGHUP', () => supervisor.signal(controlPlane, 'SIGHUP'));

  say('ready');
  say(`  SIP       ${config.sip.listen.join(' ')}`);
  say(`  API       http://${apiListen} (docs at /docs)`);
  say(`  metrics   http://${apiListen}/metrics`);
  say(`  Kamailio  ${config.kamailio.nodes[0]?.rpc_url}`);
  say(`  Redis     ${new URL(redisUrl).host}`);
  if (!demo) return;
  const retell = demoRetell();
  say(
    `  demo      simulated Retell at sip:${retell.host}:${retell.sipPort} and http://${retell.host}:${retell.httpPort}`,
  );
  say(`  token     ${process.env.API_TOKEN} (also in ${join(directory, 'api-token')})`);
  say('  next      npm run demo');
}

/** The demo's token is made up once and kept, so that a second start and a curl by hand find it. */
async function makeApiToken(directory: string): Promise<void> {
  const file = join(directory, 'api-token');
  const kept = await readFile(file, 'utf8').catch(() => '');
  process.env.API_TOKEN ||= kept.trim() || randomBytes(24).toString('base64url');
  await writeFile(file, `${process.env.API_TOKEN}\n`, { mode: 0o600 });
}

/** Says which port is taken before anything is started. */
async function assertPortsFree(config: Config, demo: boolean): Promise<void> {
  for (const socket of config.sip.listen) {
    await assertPortFree({ ...parseSipListen(socket), what: `sip.listen ${socket}` });
  }
  const rpc = parseRpcUrl(config.kamailio.nodes[0]?.rpc_url ?? '');
  await assertPortFree({ ...rpc, transport: 'tcp', what: "Kamailio's RPC" });
  await assertPortFree({ ...parseHostPort(config.api.listen), transport: 'tcp', what: 'api.listen' });
  if (!demo) return;
  const { host, sipPort, httpPort } = demoRetell();
  await assertPortFree({ host, port: sipPort, transport: 'udp', what: 'the simulated Retell' });
  await assertPortFree({ host, port: httpPort, transport: 'tcp', what: 'the simulated Retell' });
}

/** An address of this machine at which a listener can be asked, as host:port. */
function reachable(listen: string): string {
  const { host, port } = parseHostPort(listen);
  if (!isWildcard(host)) return listen;
  return host.includes(':') ? `[::1]:${port}` : `${LOOPBACK}:${port}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
