import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { getPriority } from 'node:os';
import t from 'tap';
import { RunningProcess } from '../../control-plane/src/cli/process.js';
import { readProcessStat } from '../../control-plane/src/cli/process-stat.js';
import { eventually } from '../harness/await.js';

const MODULE = new URL('../../control-plane/src/cli/precedence.js', import.meta.url).href;

/** What a process prints after it has stepped back: `printed` is an expression. The command before it may start it. */
function afterStepBack(printed: string, ...command: [string, ...string[]]): string {
  const script = `
    import { readFileSync } from 'node:fs';
    import { getPriority } from 'node:os';
    import { stepBack } from '${MODULE}';
    stepBack();
    process.stdout.write(String(${printed}));`;
  const [program, ...args] = [...command, process.execPath, '--input-type=module', '--eval', script] as const;
  return spawnSync(program, args, { encoding: 'utf8' }).stdout;
}

/** Niceness of a process that steps back, in a session of its own. */
const nicenessFrom = (start: number) =>
  Number(afterStepBack('getPriority()', 'setsid', '--wait', 'nice', '-n', String(start)));

const AUTOGROUP = '/proc/self/autogroup';
const skip = existsSync(AUTOGROUP) ? false : 'this kernel has no autogroups';

/** Niceness of the group of a process that steps back; a command before it may start it. */
const groupNicenessAfter = (...command: [string, ...string[]]) =>
  Number(
    afterStepBack(`readFileSync('${AUTOGROUP}', 'utf8')`, ...command)
      .split(' ')
      .at(-1),
  );

t.test('a process steps back behind the others', async (t) => {
  t.equal(nicenessFrom(0), Math.max(getPriority(), 10));
});

t.test('a process that is started is moved in relation to this one', async (t) => {
  const ready = async () => {};
  const running = new RunningProcess(
    { name: 'sleeper', command: 'sleep', args: ['60'], niceness: 7, ready },
    () => {},
  );
  t.teardown(() => running.kill());
  t.equal(getPriority(running.group), Math.min(getPriority() + 7, 19));
});

t.test('one that was started further back stays there', async (t) => {
  t.equal(nicenessFrom(15), Math.min(getPriority() + 15, 19));
});

t.test(
  'one with a session of its own takes the group that Linux made of it back, too',
  { skip },
  async (t) => {
    t.equal(groupNicenessAfter('setsid', '--wait'), Math.max(getPriority(), 10));
  },
);

t.test('one in a session of others leaves their group where it is', { skip }, async (t) => {
  const shell = ['sh', '-c', '"$@"; exit', 'sh'] as const;
  t.equal(groupNicenessAfter('setsid', '--wait', ...shell), 0);
});

t.test('a process that is started leads a group of its own in the session of this one', async (t) => {
  const ready = async () => {};
  const running = new RunningProcess({ name: 'sleeper', command: 'sleep', args: ['60'], ready }, () => {});
  t.teardown(() => running.kill());
  const pid = running.group ?? 0;
  await eventually('it leads a group', () => readProcessStat(pid).group === pid);
  t.equal(readProcessStat(pid).session, readProcessStat('self').session);
});
