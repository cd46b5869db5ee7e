import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';

const setupScript = fileURLToPath(new URL('../../../scripts/setup.sh', import.meta.url));
const allPackages = [
  'kamailio',
  'kamailio-extra-modules',
  'kamailio-redis-modules',
  'kamailio-json-modules',
  'kamailio-utils-modules',
  'kamailio-tls-modules',
  'sip-tester',
  'redis-server',
  'prometheus',
  'openssl',
  'ca-certificates',
];
const update = 'apt-get -q -o DPkg::Lock::Timeout=300 update';
const install = (packages: string[]) =>
  `apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends ${packages.join(' ')}`;
const npmCi = 'npm ci --include=dev --no-audit --no-fund';

/** The programs of the machine that the script may use as they are. */
const realPrograms = [
  'cat',
  'chmod',
  'dirname',
  'env',
  'flock',
  'grep',
  'mkdir',
  'rm',
  'sh',
  'sort',
  'timeout',
  'tr',
];

/** What a machine has, each written as a stub that notes its call in $CALLS. */
const stubs = {
  node: 'echo "v$NODE_FOUND"',
  id: 'echo "$USER_ID"',
  // Answers as the real one: what is installed on stdout, and a failure if something is not.
  'dpkg-query': `
    shift 2
    for package; do
      grep -qx "$package" "$MACHINE/packages" && printf '[%s:installed]' "$package" || status=1
    done
    exit "\${status:-0}"`,
  'apt-get': `
    note "$@"
    case "$*" in
      *update*)
        [ ! -e "$MACHINE/lists-locked" ] || { rm "$MACHINE/lists-locked"; echo "E: Could not get lock"; exit 100; } ;;
      *install*)
        note-policy
        echo "$DEBIAN_FRONTEND frontend says much"
        [ ! -e "$MACHINE/apt-broken" ] || exit 100
        echo "$*" | tr ' ' '\\n' >>"$MACHINE/packages" ;;
    esac`,
  'note-policy': `
    policy=$DPKG_ROOT/usr/sbin/policy-rc.d
    status=none
    [ ! -e "$policy" ] || { status=0; "$policy" || status=$?; }
    echo "policy-rc.d: $status" >>"$CALLS"`,
  sleep: 'note "$@"',
  systemctl: 'note "$@"',
  npm: `
    note "$@"
    [ ! -e "$MACHINE/npm-waits" ] || cat "$MACHINE/npm-waits" >/dev/null
    [ ! -e "$MACHINE/npm-broken" ] || exit 1
    mkdir -p node_modules/.bin
    printf '%s\\n' '#!/bin/sh' 'echo tsc >>"$CALLS"' 'mkdir -p dist' ': >dist/.tsbuildinfo' >node_modules/.bin/tsc
    chmod 755 node_modules/.bin/tsc
    : >node_modules/.package-lock.json`,
};

interface Run {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A checkout on a machine of stubs: nothing on the PATH but them and a few harmless programs. */
class Machine {
  readonly folder: string;
  readonly env: Record<string, string>;

  constructor(t: Test, have: { packages?: string[]; userId?: number; node?: string } = {}) {
    this.folder = temporaryFolder(t);
    for (const name of ['bin', 'root/usr/sbin', 'checkout/scripts']) {
      mkdirSync(this.path(name), { recursive: true });
    }
    writeFileSync(this.path('packages'), (have.packages ?? allPackages).map((name) => `${name}\n`).join(''));
    writeFileSync(this.path('checkout/package-lock.json'), '{}');
    this.env = {
      PATH: this.path('bin'),
      MACHINE: this.folder,
      CALLS: this.path('calls'),
      DPKG_ROOT: this.path('root'),
      USER_ID: String(have.userId ?? 0),
      NODE_FOUND: have.node ?? '20.18.1',
    };
    copyFileSync(setupScript, this.path('checkout/scripts/setup.sh'));
    for (const program of realPrograms) {
      const real = execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
      symlinkSync(real, this.path(`bin/${program}`));
    }
    for (const [name, script] of Object.entries(stubs)) this.addProgram(name, script);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  addProgram(name: string, script: string): void {
    const path = this.path(`bin/${name}`);
    writeFileSync(path, `#!/bin/sh\nnote() { echo "${name} $*" >>"$CALLS"; }\n${script}\n`);
    chmodSync(path, 0o755);
  }

  removeProgram(...names: string[]): void {
    for (const name of names) rmSync(this.path(`bin/${name}`));
  }

  /** Makes a file that the stubs look for. */
  mark(name: string): void {
    writeFileSync(this.path(name), '');
  }

  start(options: { detached?: boolean } = {}) {
    return spawn(this.path('bin/sh'), [this.path('checkout/scripts/setup.sh')], {
      cwd: this.folder,
      env: this.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
    });
  }

  async run(): Promise<Run> {
    const child = this.start();
    const run = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      run.stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      run.stderr += chunk;
    });
    const [status] = (await once(child, 'close')) as [number | null];
    return { status, ...run };
  }

  /** What was called since the last time. */
  calls(): string[] {
    if (!existsSync(this.path('calls'))) return [];
    const calls = readFileSync(this.path('calls'), 'utf8').trimEnd().split('\n');
    rmSync(this.path('calls'));
    return calls;
  }
}

/** Not tap's testdir, which two runs in the same checkout share. */
function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'setup-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

async function until(condition: () => boolean): Promise<void> {
  const limit = AbortSignal.timeout(20_000);
  while (!condition()) {
    limit.throwIfAborted();
    await delay(5);
  }
}

t.test('a fresh machine gets the Debian packages, the npm packages and the build', async (t) => {
  const machine = new Machine(t, { packages: [] });
  t.strictSame(await machine.run(), {
    status: 0,
    stdout: `Installing Debian packages: ${allPackages.join(' ')}\nInstalling npm packages\nBuilding\n`,
    stderr: '',
  });
  t.strictSame(machine.calls(), [
    update,
    install(allPackages),
    'policy-rc.d: 101',
    'systemctl disable kamailio',
    'systemctl disable redis-server',
    'systemctl disable prometheus',
    npmCi,
    'tsc',
  ]);
  t.notOk(existsSync(machine.path('root/usr/sbin/policy-rc.d')), 'the ban on service starts is lifted');
  t.match(
    readFileSync(machine.path('checkout/var/setup-apt-install.log'), 'utf8'),
    'noninteractive frontend says much',
  );
});

t.test('a machine that has everything only builds, without a word', async (t) => {
  const machine = new Machine(t);
  await machine.run();
  machine.calls();
  t.strictSame(await machine.run(), { status: 0, stdout: '', stderr: '' });
  t.strictSame(machine.calls(), ['tsc']);
});

t.test('only the packages that are missing are installed, and other services are left alone', async (t) => {
  const machine = new Machine(t, { packages: allPackages.filter((name) => !/sip-tester|json/.test(name)) });
  await machine.run();
  t.strictSame(machine.calls().slice(0, -2), [
    update,
    install(['kamailio-json-modules', 'sip-tester']),
    'policy-rc.d: 101',
  ]);
});

t.test("a machine's own policy-rc.d is used and kept", async (t) => {
  const machine = new Machine(t, { packages: [] });
  const policy = machine.path('root/usr/sbin/policy-rc.d');
  writeFileSync(policy, '#!/bin/sh\nexit 104\n', { mode: 0o755 });
  await machine.run();
  t.ok(machine.calls().includes('policy-rc.d: 104'));
  t.equal(readFileSync(policy, 'utf8'), '#!/bin/sh\nexit 104\n');
});

t.test('an installation that fails names its log and lifts the ban on service starts', async (t) => {
  const machine = new Machine(t, { packages: [] });
  machine.mark('apt-broken');
  t.match(await machine.run(), {
    status: 1,
    stderr: /^setup: apt-get install failed, see var\/setup-apt-install.log\n$/,
  });
  t.notOk(existsSync(machine.path('root/usr/sbin/policy-rc.d')));
  t.strictSame(machine.calls(), [update, install(allPackages), 'policy-rc.d: 101']);
});

t.test('an installation that is interrupted lifts the ban on service starts', async (t) => {
  const machine = new Machine(t, { packages: [] });
  machine.addProgram('apt-get', 'note "$@"; exec cat "$MACHINE/never"');
  execFileSync('mkfifo', [machine.path('never')]);
  const child = machine.start({ detached: true });
  await until(() => existsSync(machine.path('calls')));
  t.ok(existsSync(machine.path('root/usr/sbin/policy-rc.d')));
  // As a terminal does it: to everything in the foreground.
  process.kill(-(child.pid ?? 0), 'SIGINT');
  t.strictSame(await once(child, 'close'), [130, null]);
  t.notOk(existsSync(machine.path('root/usr/sbin/policy-rc.d')));
  t.strictSame(machine.calls(), [update]);
});

t.test('package lists that another apt has locked are waited for', async (t) => {
  const machine = new Machine(t, { packages: [] });
  machine.mark('lists-locked');
  t.match(await machine.run(), { status: 0, stderr: '' });
  t.strictSame(machine.calls().slice(0, 4), [update, 'sleep 3', update, install(allPackages)]);
});

t.test('package lists that stay locked end the setup', async (t) => {
  const machine = new Machine(t, { packages: [] });
  machine.addProgram('apt-get', 'note "$@"; echo "E: Could not get lock"; exit 100');
  t.match(await machine.run(), {
    status: 1,
    stderr: /^setup: another apt kept the package lists locked for 300 s, see var\/setup-apt-update.log\n$/,
  });
});

t.test('a user with sudo installs through it', async (t) => {
  const machine = new Machine(t, { packages: [], userId: 1000 });
  machine.addProgram('sudo', 'shift; case "$1" in true) ;; *) note "$1 $2"; "$@" ;; esac');
  t.match(await machine.run(), { status: 0, stderr: '' });
  t.strictSame(
    machine.calls().filter((call) => call.startsWith('sudo ')),
    [
      'sudo sh -c',
      'sudo env DEBIAN_FRONTEND=noninteractive',
      'sudo env DEBIAN_FRONTEND=noninteractive',
      'sudo systemctl disable',
      'sudo systemctl disable',
      'sudo systemctl disable',
      'sudo rm -f',
    ],
  );
  t.notOk(existsSync(machine.path('root/usr/sbin/policy-rc.d')));
});

t.test('a user without rights is told the command to run, in one line', async (t) => {
  const line =
    'setup: Debian packages are missing; run as root: apt-get update && ' +
    'apt-get install -y --no-install-recommends sip-tester redis-server\n';
  const machine = new Machine(t, {
    packages: allPackages.filter((name) => !/sip-tester|redis-server/.test(name)),
    userId: 1000,
  });
  t.strictSame(await machine.run(), { status: 1, stdout: '', stderr: line }, 'no sudo');
  machine.addProgram('sudo', 'echo "sudo: a password is required" >&2; exit 1');
  t.strictSame(await machine.run(), { status: 1, stdout: '', stderr: line }, 'sudo with a password');
  t.strictSame(machine.calls(), []);
});

t.test('a user without rights needs none when the packages are there', async (t) => {
  const machine = new Machine(t, { userId: 1000 });
  t.match(await machine.run(), { status: 0, stderr: '' });
  t.strictSame(machine.calls(), [npmCi, 'tsc']);
});

for (const node of ['18.20.4', '20.9.0', '20.18.0']) {
  t.test(`Node.js ${node} is refused`, async (t) => {
    const machine = new Machine(t, { node });
    t.strictSame(await machine.run(), {
      status: 1,
      stdout: '',
      stderr: `setup: Node.js 20.18.1 or newer is needed, this is ${node}\n`,
    });
    t.strictSame(machine.calls(), []);
  });
}

for (const node of ['20.18.1', '20.20.2', '22.3.0', '100.0.0']) {
  t.test(`Node.js ${node} is accepted`, async (t) => {
    t.match(await new Machine(t, { node }).run(), { status: 0, stderr: '' });
  });
}

t.test('a machine without Node.js is told so', async (t) => {
  const machine = new Machine(t);
  machine.removeProgram('node');
  t.strictSame(await machine.run(), {
    status: 1,
    stdout: '',
    stderr: 'setup: Node.js 20.18.1 or newer is needed and there is none\n',
  });
});

t.test('a system that is not Debian-like is told the programs that it lacks', async (t) => {
  const machine = new Machine(t);
  machine.removeProgram('apt-get', 'dpkg-query');
  machine.addProgram('redis-server', '');
  t.strictSame(await machine.run(), {
    status: 1,
    stdout: '',
    stderr:
      'setup: this is not Debian or Ubuntu: install kamailio sipp promtool openssl yourself ' +
      '(Kamailio with its redis, json, utils and tls modules), then run this again\n',
  });
  machine.addProgram('kamailio', '');
  machine.addProgram('sipp', '');
  machine.addProgram('promtool', '');
  machine.addProgram('openssl', '');
  t.match(await machine.run(), { status: 0, stderr: '' });
  t.strictSame(machine.calls(), [npmCi, 'tsc']);
});

t.test('npm packages older than the lock file are installed anew', async (t) => {
  const machine = new Machine(t);
  await machine.run();
  machine.calls();
  const longAgo = new Date('2020-01-01');
  utimesSync(machine.path('checkout/node_modules/.package-lock.json'), longAgo, longAgo);
  t.match(await machine.run(), { status: 0, stdout: 'Installing npm packages\n' });
  t.strictSame(machine.calls(), [npmCi, 'tsc']);
});

t.test('an npm installation that broke off is done anew', async (t) => {
  const machine = new Machine(t);
  mkdirSync(machine.path('checkout/node_modules'));
  machine.mark('npm-broken');
  t.match(await machine.run(), { status: 1, stderr: /^setup: npm ci failed, see var\/setup-npm.log\n$/ });
  rmSync(machine.path('npm-broken'));
  t.match(await machine.run(), { status: 0 });
  t.strictSame(machine.calls(), [npmCi, npmCi, 'tsc']);
});

t.test('a build that fails shows the errors of the compiler', async (t) => {
  const machine = new Machine(t);
  await machine.run();
  writeFileSync(machine.path('checkout/node_modules/.bin/tsc'), '#!/bin/sh\necho "error TS1005"; exit 2\n');
  t.strictSame(await machine.run(), {
    status: 1,
    stdout: 'error TS1005\n',
    stderr: 'setup: the build failed\n',
  });
});

t.test('of two runs at the same time one installs and the other waits for it', async (t) => {
  const machine = new Machine(t);
  const gate = machine.path('npm-waits');
  execFileSync('mkfifo', [gate]);
  const first = machine.run();
  const calls = () => (existsSync(machine.path('calls')) ? readFileSync(machine.path('calls'), 'utf8') : '');
  await until(() => calls().includes('npm'));
  const second = machine.start();
  const [line] = (await once(second.stdout.setEncoding('utf8'), 'data')) as [string];
  t.equal(line, 'Waiting for another setup in this checkout\n');
  writeFileSync(gate, '');
  t.match(await first, { status: 0, stdout: 'Installing npm packages\nBuilding\n' });
  t.strictSame(await once(second, 'close'), [0, null]);
  t.strictSame(machine.calls(), [npmCi, 'tsc', 'tsc']);
});

t.test('what a package leaves running does not hold the lock', async (t) => {
  const machine = new Machine(t);
  machine.addProgram('npm', `${stubs.npm}\ncat "$MACHINE/never" >/dev/null 2>&1 & echo $! >"$MACHINE/pid"`);
  execFileSync('mkfifo', [machine.path('never')]);
  t.match(await machine.run(), { status: 0 });
  t.match(await machine.run(), { status: 0, stdout: '' });
  writeFileSync(machine.path('never'), '');
});
