import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { within } from '../../control-plane/src/cli/process.js';
import { type SippOptions, SippRun } from '../sipp.js';
import { type SippCounts, SippStatistics } from '../sipp-statistics.js';
import { Tail } from './tail.js';

/** A response to a call. */
export interface ResponseTime {
  /** When it came, in ms since 1970. */
  atMs: number;
  /** Session request delay (RFC 6076 section 4.3): from the INVITE to the first response above 100, in whole ms. */
  srdMs: number;
}

/** SIPp's count of calls is an int of 32 bits. */
const NO_END = 2_000_000_000;
/** What scenarios name the timer of the session request delay. */
const SRD = 'srd';

/** One SIPp that places calls until it is told to stop. */
export class Caller {
  readonly run: SippRun;
  /** That it sends from. */
  readonly port: number;
  /** UDP port where SIPp takes commands (its `-cp`), on every address. */
  readonly controlPort: number;
  /** What it had counted, a row for each second. */
  readonly rows: SippCounts[] = [];
  readonly #statistics = new SippStatistics();
  readonly #statisticsTail: Tail;
  #responsesTail: Tail | undefined;

  private constructor(run: SippRun, port: number, controlPort: number) {
    this.run = run;
    this.port = port;
    this.controlPort = controlPort;
    this.#statisticsTail = new Tail(join(run.directory, 'statistics.csv'));
  }

  static async start(options: SippOptions & { rate: number; port: number }): Promise<Caller> {
    const controlPort = await freeControlPort();
    const more = [
      ...['-trace_rtt', '-rtt_freq', String(batchOf(options.rate)), '-cp', String(controlPort)],
      ...(options.more ?? []),
    ];
    return new Caller(await SippRun.start({ ...options, calls: NO_END, more }), options.port, controlPort);
  }

  /** Reads what it has written since the last time. @returns response times that are new */
  async poll(): Promise<ResponseTime[]> {
    for (const line of await this.#statisticsTail.lines()) {
      const row = this.#statistics.read(line);
      if (row !== undefined) this.rows.push(row);
    }
    const startedMs = this.rows[0]?.atMs;
    if (startedMs === undefined) return [];
    this.#responsesTail ??= await this.#openResponses();
    const lines = (await this.#responsesTail?.lines()) ?? [];
    return lines.flatMap((line) => {
      const [afterMs, ms, timer] = line.split(';');
      return timer === SRD ? [{ atMs: startedMs + Number(afterMs), srdMs: Number(ms) }] : [];
    });
  }

  /** Places no further calls, and waits for those that go on. @returns how many are left after that time, in ms */
  async stop(waitMs: number): Promise<number> {
    this.run.signal('SIGUSR1');
    const ended = await within(this.run.exited, waitMs);
    await this.poll();
    const last = this.rows.at(-1);
    return ended || last === undefined ? 0 : last.created - last.successful - last.failed;
  }

  /** SIPp names the file after the scenario and its process. */
  async #openResponses(): Promise<Tail | undefined> {
    const names = await readdir(this.run.directory);
    const name = names.find((each) => each.endsWith('_rtt.csv'));
    return name === undefined ? undefined : new Tail(join(this.run.directory, name));
  }
}

/** SIPp writes response times in batches of so many, and never those of a last batch that is not full. */
function batchOf(rate: number): number {
  return Math.max(1, Math.floor(rate / 20));
}

/** SIPp binds its control socket on every address, which the ports of `freePort` are not free on. */
async function freeControlPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}
