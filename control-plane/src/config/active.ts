import type { Config } from './schema.js';

/** The configuration in force. What follows a reload reads `current` each time that it needs it, and keeps no copy. */
export class ActiveConfig {
  #current: Config;

  constructor(config: Config) {
    this.#current = config;
  }

  get current(): Config {
    return this.#current;
  }

  replace(config: Config): void {
    this.#current = config;
  }
}
