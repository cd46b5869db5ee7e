import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { freePort } from '../../control-plane/src/cli/ports.js';
import { readProcesses } from '../../control-plane/src/cli/process-stat.js';
import { type ProcessSpec, type RestartTimes, Supervisor } from '../../control-plane/src/cli/supervisor.js';
import { eventually } from '../harness/await.js';

const host = '127.0.0.1';
const supervisorModule = new URL('../../control-plane/src/cli/supervisor.js', import.meta.url).href;

/** Says its pid, is ready, and exits with 7 on SIGUSR1. */
const mortal = 'trap "exit 7" USR1; echo "pid $$"; echo ready; sleep 60 & wait';

/** A supervisor whose log and output can be waited for. */
class Harness {
  readonly log: string[] = [];
  readonly output: string[] = [];
  readonly supervisor: Supervisor;
  /** How many starts and restarts became ready. */
  readyTimes = 0;

  constructor(restart: Partial<RestartTimes>) {
    this.supervisor = new Supervisor({
      log: (line) => this.log.push(line),
      onOutput: (name, line) => this.output.push(`${name}: ${line}`),
      restart,
    });
  }

  /** A shell script that is ready once it has written a line `ready`. */
  script(name: string, script: string, more: Partial<ProcessSpec> = {}): ProcessSpec {
    const ready = async (signal: AbortSignal) => {
      const before = this.count(`${name}: ready`);
      await until(() => this.count(`${name}: ready`) > before, signal);
      this.readyTimes += 1;
    };
    return { name, command: 'sh', args: ['-c', script], ready, ...more };
  }

  count(line: string): number {
    return this.output.filter((found) => found === line).length;
  }

  /** The pid in the last line `pid N` that a script wrote; it is the number of its group too. */
  pid(name: string): number {
    const line = this.output.findLast((found) => found.startsWith(`${name}: pid `));
    return Number(line?.split(' ').at(-1));
  }
}

/** A test with a supervisor that is stopped afterwards; no process may be left then. */
function supervised(
  title: string,
  body: (t: Test, harness: Harness) => Promise<void>,
  restart: Partial<RestartTimes> = { firstPauseMs: 1, longestPauseMs: 4 },
): void {
  t.test(title, async (t) => {
    const harness = new Harness(restart);
    try {
      await body(t, harness);
    } finally {
      await harness.supervisor.stopAll();
    }
    await eventually('no process is left behind', () => childrenOf(process.pid).length === 0);
  });
}

/** Not tap's testdir, which two runs in the same checkout share. */
function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'supervisor-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

async function until(condition: () => boolean | Promise<boolean>, signal?: AbortSignal): Promise<void> {
  const limit = AbortSignal.timeout(20_000);
  while (!(await condition())) {
    limit.throwIfAborted();
    await delay(5, undefined, signal && { signal });
  }
}

/** Every live process. A zombie is a dead one that its parent (in some containers, none) has not asked about. */
const processes = () => readProcesses().filter(({ state }) => state !== 'Z');

function childrenOf(parent: number): number[] {
  return processes().flatMap((process) => (process.parent === parent ? [process.pid] : []));
}

function groupMembers(group: number): number[] {
  return processes().flatMap((process) => (process.group === group ? [process.pid] : []));
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

supervised(
  'start resolves when the process is ready, and hands its output on line by line',
  async (t, harness) => {
    await harness.supervisor.start(
      harness.script(
        'part',
        'echo one; echo two >&2; printf "%s" "$GREETING in $PWD "; echo end; echo ready; exec sleep 60',
        {
          env: { GREETING: 'hello' },
          cwd: '/',
        },
      ),
    );
    t.strictSame(harness.output.toSorted(), [
      'part: hello in / end',
      'part: one',
      'part: ready',
      'part: two',
    ]);
    t.strictSame(harness.log, []);
  },
);

supervised(
  'start fails with exit code and last output when the process exits before it is ready',
  async (t, harness) => {
    const script = 'for i in $(seq 30); do echo "line $i"; done; printf "bad config" >&2; exit 3';
    await t.rejects(harness.supervisor.start(harness.script('part', script)), {
      name: 'SupervisorError',
      code: 'ERR_PROCESS_EXITED',
      message: 'part exited with code 3 before it was ready',
      processName: 'part',
      exitCode: 3,
    });
    t.strictSame(harness.log, [], 'it is not restarted');
  },
);

supervised('a failed start keeps the last 20 lines of output', async (t, harness) => {
  const script = 'for i in $(seq 30); do echo "line $i"; done; exit 1';
  const expected = Array.from({ length: 20 }, (_, index) => `line ${index + 11}`);
  const error = await harness.supervisor
    .start(harness.script('part', script))
    .catch((error: unknown) => error);
  t.match(error, { output: expected });
  t.equal(harness.output.length, 30, 'all of them were handed on');
});

supervised('a line without end is handed on in pieces', async (t, harness) => {
  const script = 'head -c 50000 /dev/zero | tr "\\0" x; exit 1';
  await t.rejects(harness.supervisor.start(harness.script('part', script)));
  const lengths = harness.output.map((line) => line.length - 'part: '.length);
  t.equal(
    lengths.reduce((sum, length) => sum + length, 0),
    50_000,
  );
  t.ok(Math.max(...lengths) <= 8192);
});

supervised('start fails when the program does not exist', async (t, harness) => {
  await t.rejects(harness.supervisor.start(harness.script('part', '', { command: '/does/not/exist' })), {
    code: 'ERR_PROCESS_EXITED',
    output: [/does\/not\/exist/],
  });
});

supervised(
  'start works without setpriv, and fails clearly when the program does not exist',
  async (t, harness) => {
    const { PATH } = process.env;
    t.teardown(() => {
      process.env.PATH = PATH;
    });
    process.env.PATH = '/does/not/exist';
    await harness.supervisor.start(
      harness.script('part', 'echo ready; exec sleep 60', { command: '/bin/sh', env: { PATH: PATH ?? '' } }),
    );
    await t.rejects(harness.supervisor.start(harness.script('other', '', { command: '/does/not/exist' })), {
      code: 'ERR_PROCESS_EXITED',
      message: 'other could not be started (spawn /does/not/exist ENOENT) before it was ready',
      exitCode: null,
    });
  },
);

supervised('start kills the whole group of a process that is not ready in time', async (t, harness) => {
  const script = 'trap "" TERM; echo "pid $$"; sleep 60 & echo waiting; wait';
  let aborted = false;
  const spec = harness.script('part', script, {
    readyTimeoutMs: 300,
    ready: (signal) =>
      new Promise(() => {
        signal.addEventListener('abort', () => {
          aborted = true;
        });
      }),
  });
  await t.rejects(harness.supervisor.start(spec), {
    code: 'ERR_PROCESS_NOT_READY',
    message: 'part was not ready within 300 ms',
    exitCode: null,
  });
  t.ok(aborted, 'the ready check is told');
  await until(() => groupMembers(harness.pid('part')).length === 0);
});

supervised('start passes on why the ready check failed', async (t, harness) => {
  const ready = () => {
    throw new Error('the port answers nonsense');
  };
  await t.rejects(harness.supervisor.start(harness.script('part', 'exec sleep 60', { ready })), {
    code: 'ERR_PROCESS_NOT_READY',
    message: 'part did not become ready: the port answers nonsense',
  });
});

supervised('a process that dies is restarted, each death said in one line', async (t, harness) => {
  await harness.supervisor.start(harness.script('part', mortal));
  const signals = ['SIGKILL', 'SIGUSR1', 'SIGKILL', 'SIGUSR1'] as const;
  for (const [deaths, signal] of signals.entries()) {
    await until(() => harness.readyTimes === deaths + 1);
    process.kill(harness.pid('part'), signal);
  }
  await until(() => harness.readyTimes === 5);
  t.strictSame(harness.log, [
    'part was ended by SIGKILL; restart 1 in 1 ms',
    'part exited with code 7; restart 2 in 2 ms',
    'part was ended by SIGKILL; restart 3 in 4 ms',
    'part exited with code 7; restart 4 in 4 ms',
  ]);
});

supervised(
  'a process that lived long enough is restarted with the first pause again',
  async (t, harness) => {
    await harness.supervisor.start(harness.script('part', mortal));
    for (const deaths of [0, 1, 2]) {
      await until(() => harness.readyTimes === deaths + 1);
      process.kill(harness.pid('part'), 'SIGKILL');
    }
    await until(() => harness.readyTimes === 4);
    t.strictSame(harness.log, [
      'part was ended by SIGKILL; restart 1 in 1 ms',
      'part was ended by SIGKILL; restart 2 in 1 ms',
      'part was ended by SIGKILL; restart 3 in 1 ms',
    ]);
  },
  { firstPauseMs: 1, longestPauseMs: 1000, resetAfterMs: 0 },
);

supervised('a restart that fails is tried again', async (t, harness) => {
  const cwd = temporaryFolder(t);
  const script = `
    echo run >>runs
    case $(wc -l <runs) in
      2 | 3) exit 2 ;;
    esac
    ${mortal}`;
  await harness.supervisor.start(harness.script('part', script, { cwd }));
  process.kill(harness.pid('part'), 'SIGUSR1');
  await until(() => harness.readyTimes === 2);
  t.strictSame(harness.log, [
    'part exited with code 7; restart 1 in 1 ms',
    'part exited with code 2 before it was ready; restart 2 in 2 ms',
    'part exited with code 2 before it was ready; restart 3 in 4 ms',
  ]);
});

supervised('stopAll stops in reverse order and restarts nothing', async (t, harness) => {
  const script = 'trap "echo stopping; exit 0" TERM; echo ready; while :; do sleep 0.01; done';
  for (const name of ['redis', 'kamailio', 'control plane']) {
    await harness.supervisor.start(harness.script(name, script));
  }
  await Promise.all([harness.supervisor.stopAll(), harness.supervisor.stopAll()]);
  t.strictSame(
    harness.output.filter((line) => line.endsWith('stopping')),
    ['control plane: stopping', 'kamailio: stopping', 'redis: stopping'],
  );
  t.strictSame(harness.log, []);
  await t.rejects(harness.supervisor.start(harness.script('late', 'echo ready')), {
    code: 'ERR_SUPERVISOR_STOPPED',
    message: 'late was not started: everything is being stopped',
  });
});

supervised('stopAll sends the stop signal of the part', async (t, harness) => {
  const script = 'trap "echo interrupted; exit 0" INT; echo ready; while :; do sleep 0.01; done';
  await harness.supervisor.start(harness.script('part', script, { stopSignal: 'SIGINT' }));
  await harness.supervisor.stopAll();
  t.equal(harness.count('part: interrupted'), 1);
});

supervised('stopAll kills the whole group of a process that ignores its stop signal', async (t, harness) => {
  const script = 'trap "" TERM; echo "pid $$"; sleep 60 & echo ready; while :; do wait; done';
  await harness.supervisor.start(harness.script('part', script, { stopTimeoutMs: 50 }));
  const group = harness.pid('part');
  t.ok(groupMembers(group).length >= 2);
  await harness.supervisor.stopAll();
  await until(() => groupMembers(group).length === 0);
});

supervised('stopAll ends a start that is still waiting', async (t, harness) => {
  const start = harness.supervisor.start(harness.script('part', 'echo up; exec sleep 60'));
  const outcome = t.rejects(start, { code: 'ERR_SUPERVISOR_STOPPED' });
  await until(() => harness.count('part: up') === 1);
  await harness.supervisor.stopAll();
  await outcome;
  t.strictSame(harness.log, []);
});

supervised(
  'stopAll ends a restart that is still pausing',
  async (t, harness) => {
    await harness.supervisor.start(harness.script('part', mortal));
    process.kill(harness.pid('part'), 'SIGUSR1');
    await until(() => harness.log.length === 1);
    await harness.supervisor.stopAll();
    t.strictSame(harness.log, ['part exited with code 7; restart 1 in 60000 ms']);
    t.equal(harness.readyTimes, 1);
  },
  { firstPauseMs: 60_000 },
);

supervised('the rest of a group goes when its first process dies', async (_t, harness) => {
  await harness.supervisor.start(harness.script('part', mortal));
  const group = harness.pid('part');
  await until(() => groupMembers(group).length === 2);
  process.kill(group, 'SIGKILL');
  await until(() => harness.readyTimes === 2);
  await until(() => groupMembers(group).length === 0);
});

t.test('a supervisor that is killed takes every process along', async (t) => {
  const { child, groups } = await spawnSupervisor(t);
  child.kill('SIGKILL');
  await until(() => groups.every((group) => groupMembers(group).length === 0));
});

t.test('a supervisor that ends without stopAll takes every process along', async (t) => {
  const { child, groups } = await spawnSupervisor(t);
  child.kill('SIGUSR2');
  await until(() => groups.every((group) => groupMembers(group).length === 0));
});

/** Runs a supervisor with two parts in a process of its own; gives the groups of its children. */
async function spawnSupervisor(t: Test): Promise<{ child: ChildProcess; groups: number[] }> {
  const program = `
    import { Supervisor } from ${JSON.stringify(supervisorModule)};
    const supervisor = new Supervisor({ log() {}, onOutput() {} });
    for (const name of ['one', 'two']) {
      const args = ['-c', 'sleep 60 & exec sleep 60'];
      await supervisor.start({ name, command: 'sh', args, ready: async () => {} });
    }
    process.once('SIGUSR2', () => process.exit(1));
    console.log('up');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(createInterface(child.stdout), 'line');
  const descendants = () => {
    const children = childrenOf(child.pid ?? 0);
    return processes().filter(({ pid, parent }) => children.includes(pid) || children.includes(parent));
  };
  await until(() => descendants().length === 5);
  const groups = [...new Set(descendants().map(({ group }) => group))];
  t.equal(groups.length, 3, 'two parts and the watchdog');
  return { child, groups };
}

supervised(
  'Kamailio: its workers go with a main process that was killed, and a new one serves',
  async (t, harness) => {
    const folder = temporaryFolder(t);
    const port = await freePort(host);
    const config = join(folder, 'kamailio.cfg');
    writeFileSync(
      config,
      `children=2\nlisten=udp:${host}:${port}\nlisten=tcp:${host}:${port}\nrequest_route { exit; }\n`,
    );
    const leaders = () => childrenOf(process.pid).filter((pid) => groupMembers(pid).length > 3);
    await harness.supervisor.start({
      name: 'kamailio',
      command: 'kamailio',
      args: ['-DD', '-E', '-f', config, '-Y', folder],
      ready: (signal) => until(() => accepts(port), signal),
    });
    await until(() => leaders().length === 1);
    const [first = 0] = leaders();
    process.kill(first, 'SIGKILL');
    await until(() => leaders().some((pid) => pid !== first));
    await until(() => accepts(port));
    t.strictSame(groupMembers(first), []);
    t.strictSame(harness.log, ['kamailio was ended by SIGKILL; restart 1 in 1 ms']);
  },
);
