import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ROOT } from '../../control-plane/src/cli/paths.js';
import { freePort } from '../../control-plane/src/cli/ports.js';
import { type ProcessStat, readProcesses } from '../../control-plane/src/cli/process-stat.js';
import { eventually } from '../harness/await.js';

const COMMAND = join(ROOT, 'dist/control-plane/src/cli/main.js');

/** A folder of the test's own, with the environment that moves a demo into it and onto free ports. */
async function sandbox(t: Test): Promise<{ directory: string; env: Record<string, string> }> {
  const directory = mkdtempSync(join(tmpdir(), 'retell-proxy-start-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const ports = [
    'DEMO_SIP_PORT',
    'DEMO_RETELL_SIP_PORT',
    'DEMO_RETELL_HTTP_PORT',
    'DEMO_API_PORT',
    'DEMO_RPC_PORT',
  ];
  const env: Record<string, string> = {
    RETELL_PROXY_VAR: join(directory, 'var'),
    CONFIG_FILE: '',
    API_TOKEN: '',
  };
  for (const port of ports) env[port] = String(await freePort());
  return { directory, env };
}

/** The command line as a user runs it, its output kept. */
function run(
  t: Test,
  args: string[],
  { directory, env }: { directory: string; env: Record<string, string> },
) {
  const child = spawn(process.execPath, [COMMAND, ...args], {
    cwd: directory,
    env: { ...process.env, ...env },
  });
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const exited = once(child, 'close').then(([code]) => code as number | null);
  return {
    child,
    exited,
    output: () => output,
    prints: (what: RegExp) =>
      eventually(`the output ${what}`, () => {
        if (what.test(output)) return true;
        throw new Error(`the last lines are\n${output.split('\n').slice(-10).join('\n')}`);
      }),
  };
}

/** Live processes that were started with this text in their command line. */
function processesWith(text: string): ProcessStat[] {
  return readProcesses().filter(({ pid, state }) => {
    try {
      return state !== 'Z' && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });
}

t.test(
  'the demo starts, shows a call with its ladder, survives dead parts, and Ctrl-C leaves nothing',
  async (t) => {
    const place = await sandbox(t);
    const start = run(t, ['start'], place);
    await start.prints(/^ready$/m);
    await start.prints(/^ +next +npm run demo$/m);
    t.match(start.output(), `udp:127.0.0.1:${place.env.DEMO_SIP_PORT}`);
    const token = readFileSync(join(place.directory, 'var/api-token'), 'utf8').trim();
    t.match(start.output(), token);

    const first = run(t, ['demo'], place);
    t.equal(await first.exited, 0, first.output());
    t.match(first.output(), '"outcome": "ended"');
    t.match(first.output(), /It is ended now\. It was hung up by command of demo \(demo\) after [\d.]+ s\./);
    t.match(first.output(), /\|-INVITE -+>\|/);
    const [hungUp = '', transferred = ''] = first.output().split('--- A call that its agent transfers ---');
    for (const act of [hungUp, transferred]) {
      t.equal(act.match(/ BYE-\||\|-BYE /g)?.length, 2, 'one BYE to each side');
    }
    t.match(transferred, '"ok":true');
    t.match(transferred, '"state": "succeeded"');
    t.match(transferred, '"source": "function"');
    t.match(transferred, /It is ended now\. The caller was transferred to \S+ by the agent after [\d.]+ s\./);
    t.match(transferred, /\|<-+ REFER-\|/);
    t.same(
      [...transferred.matchAll(/\|-NOTIFY (\d{3} \w+) -+>\|/g)].map(([, status]) => status),
      ['100 Trying', '180 Ringing', '200 OK'],
      'what the NOTIFYs said, and none to Retell',
    );
    const trunk = encodeURIComponent('+14155550100');
    await eventually('a webhook that tells Retell’s id of the call by trunk', async () => {
      const reply = await fetch(`http://127.0.0.1:${place.env.DEMO_API_PORT}/v1/calls?number=${trunk}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const { items } = (await reply.json()) as { items: { retell_call_id: string | null }[] };
      return items[0]?.retell_call_id != null;
    });

    // By its group: a worker has a lower number than the main process where Linux began to count anew between them.
    const kamailio = processesWith(join(place.directory, 'var/kamailio/node.cfg')).find(
      ({ pid, group }) => group === pid,
    );
    if (kamailio === undefined) throw new Error('Kamailio has no main process');
    process.kill(kamailio.pid, 'SIGKILL');
    await start.prints(/^kamailio was ended by SIGKILL; restart 1 in \d+ ms$/m);
    const second = await eventually('a demo call after the restart', async () => {
      const again = run(t, ['demo'], place);
      return (await again.exited) === 0 && again;
    });
    t.match(second.output(), '"outcome": "ended"');

    start.child.kill('SIGINT');
    t.equal(await start.exited, 0, start.output());
    t.match(start.output(), /^stopped$/m);
    t.same(processesWith(place.directory), []);
  },
);

t.test('a port that is taken is one clear line, and nothing is started', async (t) => {
  const place = await sandbox(t);
  const taken = createServer().listen(Number(place.env.DEMO_API_PORT), '127.0.0.1');
  t.teardown(() => taken.close());
  await once(taken, 'listening');
  const start = run(t, ['start'], place);
  t.equal(await start.exited, 1);
  t.match(
    start.output(),
    new RegExp(`^api.listen needs tcp 127.0.0.1:${place.env.DEMO_API_PORT}, but the port is taken.*\n$`),
  );
});

t.test('a bad config.yaml is told of line by line, with exit code 2', async (t) => {
  const place = await sandbox(t);
  writeFileSync(
    join(place.directory, 'config.yaml'),
    'sip: {listen: ["udp:127.0.0.1:5060"], liste: 1}\nretell: {gateways: []}\ncarriers: [{name: acme, networks: [10.0.0.0/33]}]\n',
  );
  const start = run(t, ['start'], place);
  t.equal(await start.exited, 2);
  for (const path of ['sip.liste:', 'retell.gateways:', 'carriers[0].networks[0]:', 'api:']) {
    t.ok(
      start
        .output()
        .split('\n')
        .some((line) => line.startsWith(path)),
      path,
    );
  }
});

t.test('a demo command without a running demo says what to do', async (t) => {
  const demo = run(t, ['demo'], await sandbox(t));
  t.equal(await demo.exited, 1);
  t.match(demo.output(), /start one with npm start\n$/);
});
