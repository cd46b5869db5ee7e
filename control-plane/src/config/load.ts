import { readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import { LineCounter, parseDocument, visit, type YAMLError } from 'yaml';
import { crossChecks } from './checks.js';
import { describeViolation, type Show, showWith } from './describe.js';
import { ConfigError, type ConfigProblem } from './errors.js';
import { checkFiles } from './files.js';
import { formatFault, formatNames } from './formats.js';
import { resolveValues } from './resolve.js';
import { type Config, ConfigSchema, configNode, schemaKeywords } from './schema.js';

const ajv = new Ajv({ allErrors: true, useDefaults: true, verbose: true, allowUnionTypes: true });
ajv.addVocabulary(schemaKeywords);
for (const format of formatNames) {
  ajv.addFormat(format, (text) => formatFault(format, text) === undefined);
}
const validate = ajv.compile(ConfigSchema);

/**
 * Reads and checks the configuration file, and the files that it names.
 *
 * @param file path of the YAML file
 * @param env where `${NAME}` is looked up
 * @throws ConfigError with everything that is wrong: the file cannot be read, or what `parseConfig` and
 *   `checkFiles` find
 */
export async function loadConfig(
  file: string,
  env: Record<string, string | undefined> = process.env,
): Promise<Config> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new ConfigError([{ path: '', message: unreadable(file, error as NodeJS.ErrnoException) }]);
  }
  const { value, problems, show } = examine(text, env);
  const known = new Set(problems.map(({ path }) => path));
  return accepted(value, [...problems, ...(await checkFiles(value, show, known))]);
}

/**
 * Checks the text of a configuration file and applies all defaults. Reads no other file.
 *
 * @param env where `${NAME}` is looked up
 * @throws ConfigError with everything that is wrong; where YAML itself is broken, only that
 */
export function parseConfig(text: string, env: Record<string, string | undefined>): Config {
  const { value, problems } = examine(text, env);
  return accepted(value, problems);
}

interface Examined {
  /** With every default; a `Config` where there are no problems. */
  value: unknown;
  problems: ConfigProblem[];
  show: Show;
}

function examine(text: string, env: Record<string, string | undefined>): Examined {
  const { value, written, problems } = resolveValues(parseYaml(text), configNode, env);
  // A variable that is not set is one problem, not also a missing value.
  const unknown = new Set(problems.map(({ path }) => path));
  const show = showWith(written);
  validate(value);
  const violations = (validate.errors ?? [])
    .map((error) => describeViolation(error, show))
    .filter(({ path }) => !unknown.has(path));
  return { value, problems: [...problems, ...violations, ...crossChecks(value, unknown, show)], show };
}

function accepted(value: unknown, problems: ConfigProblem[]): Config {
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return value as Config;
}

function parseYaml(text: string): unknown {
  const lines = new LineCounter();
  // Pretty errors would quote the file, secrets and all.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const found = [...document.errors, ...document.warnings].map((error) => ({
    offset: error.pos[0],
    message: syntaxMessage(error),
  }));
  visit(document, {
    Alias: (_, { range }) => {
      found.push({
        offset: range?.[0] ?? 0,
        message: 'aliases (*name) are not supported; write the value out',
      });
    },
  });
  // One mistake often confuses the parser several times; the first in a line is the real one.
  const perLine = new Map<number, ConfigProblem>();
  for (const { offset, message } of found) {
    const { line, col } = lines.linePos(offset);
    if (!perLine.has(line)) {
      perLine.set(line, { path: '', message: `line ${line}, column ${col}: ${message}` });
    }
  }
  if (perLine.size > 0) {
    throw new ConfigError([...perLine.values()]);
  }
  // An empty file is one in which everything is missing.
  return document.toJS() ?? {};
}

function syntaxMessage({ code, message }: YAMLError): string {
  switch (code) {
    case 'BAD_DQ_ESCAPE':
      return 'unknown \\ escape in double quotes; write \\\\ or use single quotes';
    case 'BAD_SCALAR_START':
      return 'a value cannot begin with this character; put the value in quotes';
    case 'DUPLICATE_KEY':
      return 'this key is in its section twice; leave one out';
    case 'MULTIPLE_DOCS':
      return 'a second document begins here; keep everything in one, without a --- line between';
    case 'RESOURCE_EXHAUSTION':
      return 'brackets nested too deeply; close those that are open';
    case 'TAB_AS_INDENT':
      return 'a tab as indentation; use spaces';
    case 'TAG_RESOLVE_FAILED':
      return 'YAML tags (!name) are not supported; leave it out';
    default:
      // Past the first colon, the parser's message may quote the file, and with it a secret.
      return `not valid YAML (${message.split(/(?<=\w): /)[0]}); check indentation, brackets and quotes (\${NAME} needs quotes inside [ ] and { })`;
  }
}

function unreadable(file: string, { code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'ENOENT':
      return `there is no configuration file ${file}; copy config.example.yaml there or set CONFIG_FILE`;
    case 'EACCES':
    case 'EPERM':
      return `the configuration file ${file} may not be read by this user; change its owner or mode`;
    case 'EISDIR':
      return `the configuration file ${file} is a directory; give the path of a file`;
    default:
      return `the configuration file ${file} cannot be read (${message}); check the path and the disk`;
  }
}
