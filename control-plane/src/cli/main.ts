#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { ConfigError } from '../config/errors.js';
import { configCheck } from './config-check.js';
import { demo } from './demo.js';
import { ROOT } from './paths.js';
import { serve } from './serve.js';
import { addSize } from './size.js';
import { start } from './start.js';

/** Exit codes: 2 for a bad configuration, 1 for everything else that goes wrong. */
const EXIT_CONFIG = 2;
const EXIT_FAILURE = 1;

const DEMO_CONFIG = join(ROOT, 'config.demo.yaml');

/** The configuration that the environment names, or config.yaml where there is one. */
function configFile(): string | undefined {
  const named = process.env.CONFIG_FILE;
  if (named !== undefined && named !== '') return named;
  return existsSync('config.yaml') ? 'config.yaml' : undefined;
}

function requiredConfigFile(): string {
  const file = configFile();
  if (file === undefined) throw new Error('there is no config.yaml here, and CONFIG_FILE is not set');
  return file;
}

const program = new Command('retell-proxy').description(
  "A SIP proxy between telephone carriers and Retell AI's voice agents.\n" +
    'The configuration is CONFIG_FILE, or config.yaml in the current folder.',
);
program
  .command('start', { isDefault: true })
  .description('run Redis, Kamailio and the control plane; with no configuration, the demo')
  .action(() => start({ configFile: configFile(), demoConfigFile: DEMO_CONFIG }));
program
  .command('serve')
  .description('run the control plane alone')
  .action(() => serve(requiredConfigFile()));
program
  .command('config-check')
  .description('check the configuration as a start would, and start nothing; exit code 2 for a bad one')
  .argument('[file]', 'CONFIG_FILE or config.yaml where none is given')
  .action((file: string | undefined) => configCheck(file ?? requiredConfigFile()));
program
  .command('demo')
  .description(
    'against a running demo: hang one call up, have another transferred by its agent, print the ladder of each',
  )
  .action(() => demo({ configFile: DEMO_CONFIG }));
addSize(program);

try {
  await program.parseAsync();
  process.exitCode ??= 0;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof ConfigError ? EXIT_CONFIG : EXIT_FAILURE;
}
