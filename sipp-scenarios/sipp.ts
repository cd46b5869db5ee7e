import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../control-plane/src/cli/paths.js';
import { NICENESS } from '../control-plane/src/cli/precedence.js';
import { RunningProcess } from '../control-plane/src/cli/process.js';
import { SippStatistics } from './sipp-statistics.js';

/** User name and password of digest authentication (RFC 3261 section 22). */
export interface Credentials {
  username: string;
  password: string;
}

export interface SippOptions {
  /** File in sipp-scenarios/, e.g. carrier/inbound-answered.xml. */
  scenario: string;
  /** Address that SIPp sends from. */
  host: string;
  /** Its port; default one that SIPp picks. */
  port?: number;
  /** host:port that the calls go to; without it SIPp waits for calls until it is stopped. */
  target?: string;
  /** Number that is dialled. */
  number?: string;
  /** How many calls. Default 1. */
  calls?: number;
  /** Calls a second. Default 10. */
  rate?: number;
  /** How long each call is held, in ms, by the side that pauses. Default 0. */
  holdMs?: number;
  /** Default udp. */
  transport?: 'udp' | 'tcp';
  /** What a challenge is answered with, or answers are checked against. */
  credentials?: Credentials;
  /** Call-IDs are this, a counter and the host. Default a name of the process. */
  callIdPrefix?: string;
  /** Keep every message for `messages()`. Default false: it costs under load. */
  trace?: boolean;
  /** Keep what SIPp has to say of messages that it did not expect, for `errors()`. Default false. */
  traceErrors?: boolean;
  /** The whole run ends after this at the latest, in s. Default 60. */
  timeoutS?: number;
  /** Further arguments of SIPp, which win over those above. */
  more?: readonly string[];
}

export interface SippResult {
  created: number;
  successful: number;
  failed: number;
  retransmissions: number;
  /** Failed calls by SIPp's reasons, those that occurred. */
  failures: Record<string, number>;
}

/** One message as SIPp saw it. */
export interface SippMessage {
  /** ms since 1970 */
  at: number;
  direction: 'in' | 'out';
  sipCallId: string;
  cseq: string;
  firstLine: string;
  /** Of a NOTIFY: the status in its message/sipfrag body (RFC 3420), e.g. `180 Ringing`. */
  sipfrag?: string;
}

/** One run of SIPp with a scenario of ours. It ends with this process, however that ends. */
export class SippRun {
  readonly #process: RunningProcess;
  readonly #directory: string;

  private constructor(process: RunningProcess, directory: string) {
    this.#process = process;
    this.#directory = directory;
  }

  static async start(options: SippOptions): Promise<SippRun> {
    const directory = await mkdtemp(join(tmpdir(), 'retell-proxy-sipp-'));
    const process = new RunningProcess(
      {
        name: 'sipp',
        command: 'sipp',
        args: sippArguments(options, directory),
        // Who measures must not be what is short of CPU: it is on a machine of its own elsewhere.
        niceness: NICENESS.kamailio,
        cwd: directory,
        ready: () => Promise.resolve(),
      },
      () => {},
    );
    return new SippRun(process, directory);
  }

  /**
   * Waits for the end of the run.
   *
   * @throws Error where SIPp itself failed, with its last lines
   */
  async result(): Promise<SippResult> {
    const { code, signal } = await this.#process.exited;
    const text = await readFile(join(this.#directory, 'statistics.csv'), 'utf8').catch(() => '');
    const reader = new SippStatistics();
    const last = text
      .trim()
      .split('\n')
      .map((line) => reader.read(line))
      .at(-1);
    // 1: some calls failed, which the figures say too.
    if (last === undefined || (code !== 0 && code !== 1)) {
      throw new Error(`sipp ended with ${code ?? signal}: ${this.#process.lastLines.join('\n')}`);
    }
    const { created, successful, failed, retransmissions, reasons } = last;
    return { created, successful, failed, retransmissions, failures: reasons };
  }

  /** The messages so far, where the run traces. */
  async messages(): Promise<SippMessage[]> {
    const [text, whole] = await Promise.all(
      ['messages.tsv', 'messages.log'].map((name) =>
        readFile(join(this.#directory, name), 'utf8').catch(() => ''),
      ),
    );
    const sipfrags = sipfragsIn(whole ?? '');
    return (text ?? '')
      .split('\n')
      .filter(Boolean)
      .map((line) => {
        const [, , seconds = '', direction, sipCallId = '', header = '', firstLine = ''] = line.split('\t');
        const cseq = header.replace(/^CSeq:\s*/, '');
        const sipfrag = firstLine.startsWith('NOTIFY ') ? sipfrags.get(`${sipCallId} ${cseq}`) : undefined;
        return {
          at: Number(seconds) * 1000,
          direction: direction === 'S' ? 'out' : 'in',
          sipCallId,
          cseq,
          firstLine,
          ...(sipfrag !== undefined && { sipfrag }),
        };
      });
  }

  /** What SIPp has said of messages that it did not expect, where the run keeps that. */
  async errors(): Promise<string> {
    return readFile(join(this.#directory, 'errors.log'), 'utf8').catch(() => '');
  }

  /** Its process group. */
  get pid(): number | undefined {
    return this.#process.group;
  }

  /** Where it writes its files, statistics.csv among them, until it is stopped. */
  get directory(): string {
    return this.#directory;
  }

  /** Resolves when SIPp has ended, however it did. */
  get exited(): Promise<unknown> {
    return this.#process.exited;
  }

  /** SIGUSR1 has it place no further calls and end with the last one. */
  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal);
  }

  /** Ends the run if it still goes on, and removes its files. */
  async stop(): Promise<void> {
    await this.#process.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Of SIPp's log of whole messages: Call-ID and CSeq to the status in the body of a message that has one. */
function sipfragsIn(log: string): Map<string, string> {
  return new Map(
    log.split(/^-{40,} .*$/m).flatMap((message): [string, string][] => {
      const [, callId, cseq] = /^Call-ID: *(\S+)\r?\n(?:.*\n)*?CSeq: *(.+?)\r?$/im.exec(message) ?? [];
      // SIPp's own line above a message ends without \r: a response is not taken for a body.
      const [, status] = /\r\n\r\nSIP\/2\.0 (\d{3}[^\r\n]*)/.exec(message) ?? [];
      return status === undefined ? [] : [[`${callId} ${cseq}`, status.trim()]];
    }),
  );
}

function sippArguments(options: SippOptions, directory: string): string[] {
  const { port, target, holdMs = 0, transport = 'udp', credentials, timeoutS = 60, more = [] } = options;
  const { trace = false, traceErrors = false } = options;
  return [
    ...['-sf', join(ROOT, 'sipp-scenarios', options.scenario), '-i', options.host],
    // Over TCP -i alone does not say where SIPp sends from.
    ...['-t', transport === 'tcp' ? 't1' : 'u1', '-bind_local', '-d', String(holdMs)],
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...(credentials === undefined ? [] : ['-au', credentials.username, '-ap', credentials.password]),
    ...['-nostdin', '-timeout', `${timeoutS}s`, '-buff_size', '1048576'],
    ...['-trace_stat', '-fd', '1', '-stf', join(directory, 'statistics.csv')],
    ...(trace ? ['-trace_shortmsg', '-shortmessage_file', join(directory, 'messages.tsv')] : []),
    ...(trace ? ['-trace_msg', '-message_file', join(directory, 'messages.log')] : []),
    ...(traceErrors ? ['-trace_err', '-error_file', join(directory, 'errors.log')] : []),
    ...(target === undefined ? [] : callArguments(options)),
    ...more,
    ...(target === undefined ? [] : [target]),
  ];
}

function callArguments({
  number = '',
  calls = 1,
  rate = 10,
  callIdPrefix = `sipp-${process.pid}`,
}: SippOptions): string[] {
  return [
    ...['-s', number, '-m', String(calls), '-r', String(rate), '-l', String(calls)],
    ...['-cid_str', `${callIdPrefix}-%u@%s`],
  ];
}
