/** One thing that is wrong in the configuration. */
export interface ConfigProblem {
  /** Where it is in the file, like `carriers[0].networks[1]`; empty when it is the file itself. */
  path: string;
  /** What is wrong and what to write instead. Never holds the value of a secret. */
  message: string;
}

/**
 * The configuration cannot be used.
 *
 * `problems` holds all of them; `message` is the same as text, one line for each:
 * `carriers[0].networks[1]: "10.0.0.0/33" is not a CIDR network; write it like 198.51.100.0/24`.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: ConfigProblem[];

  /** @param problems at least one */
  constructor(problems: ConfigProblem[]) {
    super(problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('\n'));
    this.problems = problems;
  }
}
