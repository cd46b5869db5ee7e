import { Redis } from 'ioredis';
import { parseQuestion } from '../control-plane/src/routing/decision-question.js';
import type { TestLike } from '../test/harness/stack.js';
import { now } from './clock.js';

/** The longest that one read blocks, in ms. */
const BLOCK_MS = 200;

/** Watches the stream of questions that the control plane answers, and notes when each is there to be read. */
export class Questions {
  /** By the proxy's id of the call, on the clock of clock.ts. */
  readonly seen = new Map<string, number>();
  readonly #redis: Redis;
  readonly #stream: string;
  #stopped = false;

  private constructor(redisUrl: string, node: string) {
    this.#redis = new Redis(redisUrl);
    this.#stream = `sip:decisions:${node}`;
  }

  static start(t: TestLike, redisUrl: string, node: string): Questions {
    const questions = new Questions(redisUrl, node);
    const running = questions.#run();
    t.teardown(async () => {
      questions.#stopped = true;
      await running;
      questions.#redis.disconnect();
    });
    return questions;
  }

  async #run(): Promise<void> {
    for (let last = '0'; !this.#stopped; ) {
      const reply = await this.#redis.xread('BLOCK', BLOCK_MS, 'STREAMS', this.#stream, last);
      const at = now();
      for (const [id, fields] of reply?.[0]?.[1] ?? []) {
        this.seen.set(parseQuestion(fields[1] ?? '').id, at);
        last = id;
      }
    }
  }
}
