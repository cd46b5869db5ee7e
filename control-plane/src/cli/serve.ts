import type { Logger } from 'pino';
import { ConfigError } from '../config/errors.js';
import { loadConfig } from '../config/load.js';
import { createLogger } from '../log.js';
import { type ControlPlane, startControlPlane } from '../main.js';
import { kamailioDirectory } from './paths.js';
import { stepBack } from './precedence.js';

/**
 * Runs the control plane until SIGTERM or SIGINT. What the configuration leaves open comes from the
 * environment: REDIS_URL and KAMAILIO_RPC_TOKEN. SIGHUP puts the configuration file in force anew.
 *
 * @throws ConfigError, or where a part does not start
 */
export async function serve(configFile: string): Promise<void> {
  const config = await loadConfig(configFile);
  const log = createLogger(config.log.level, config.log.numbers);
  const redisUrl = config.redis?.url ?? process.env.REDIS_URL;
  if (redisUrl === undefined) throw new Error('redis.url is not configured, and REDIS_URL is not set');
  const rpcToken = process.env.KAMAILIO_RPC_TOKEN ?? '';
  const tokenless = config.kamailio.nodes.find((node) => node.rpc_token === undefined && rpcToken === '');
  if (tokenless !== undefined) {
    throw new Error(`node ${tokenless.name} has no rpc_token, and KAMAILIO_RPC_TOKEN is not set`);
  }
  const stopped = signalled();
  const dataDirectory = kamailioDirectory();
  const controlPlane = await startControlPlane({
    config,
    configFile,
    dataDirectory,
    redisUrl,
    rpcToken,
    log,
  });
  process.on('SIGHUP', () => void reloadNow(controlPlane, log));
  log.info({ url: controlPlane.url }, 'control plane serves');
  stepBack();
  const signal = await stopped;
  log.info({ signal }, 'control plane stops');
  await controlPlane.stop();
}

async function reloadNow(controlPlane: ControlPlane, log: Logger): Promise<void> {
  try {
    log.info({ ...(await controlPlane.reload()) }, 'configuration reloaded');
  } catch (err) {
    if (err instanceof ConfigError) log.error({ problems: err.problems }, 'configuration not reloaded');
    else log.error({ err }, 'configuration not reloaded');
  }
}

/** Resolves with the first signal that asks this process to end. */
export function signalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve(signal));
  });
}
