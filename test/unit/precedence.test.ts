import { spawnSync } from 'node:child_process';
import { getPriority } from 'node:os';
import t from 'tap';
import { RunningProcess } from '../../control-plane/src/cli/process.js';

const MODULE = new URL('../../control-plane/src/cli/precedence.js', import.meta.url).href;

/** Niceness of a process that steps back, in a session of its own. */
function nicenessFrom(start: number): number {
  const script = `
    import { getPriority } from 'node:os';
    import { stepBack } from '${MODULE}';
    stepBack();
    process.stdout.write(String(getPriority()));`;
  const node = [process.execPath, '--input-type=module', '--eval', script];
  const { stdout } = spawnSync('setsid', ['--wait', 'nice', '-n', String(start), ...node], {
    encoding: 'utf8',
  });
  return Number(stdout);
}

t.test('a process steps back behind the others', async (t) => {
  t.equal(nicenessFrom(0), Math.max(getPriority(), 5));
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
  t.equal(nicenessFrom(10), Math.min(getPriority() + 10, 19));
});
