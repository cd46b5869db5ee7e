import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../../control-plane/src/cli/paths.js';

const COMMAND = join(ROOT, 'dist/bench/main.js');

async function bench(args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [COMMAND, ...args]);
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const [code] = await once(child, 'close');
  return { code, output };
}

t.test('a benchmark gives a table, a JSON file and its part of the page', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'retell-proxy-bench-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const [json, page] = [join(directory, 'new', 'bench.json'), join(directory, 'performance.md')];
  const numbers = ['--low', '20', '--high', '60', '--ringing', '10', '--rate', '10', '--duration', '8'];
  const run = await bench(['memory', ...numbers, '--json', json]);
  t.match(run.output, /memory: Kamailio's shared memory for a dialog, from 20 to 60 calls up/);

  const { runs, failures } = JSON.parse(readFileSync(json, 'utf8'));
  t.same(failures, []);
  const [{ name, command, figures, budgets }] = runs;
  t.equal(name, 'memory');
  t.equal(
    command,
    `npm run bench -- memory ${numbers.slice(0, 4).join(' ')} --rate 10 --duration 8 --ringing 10`,
  );
  t.equal(figures.churn.failed, 0);
  t.equal(figures.churn.calls, 80);
  t.ok(figures.high.kamailioBytes > figures.low.kamailioBytes);
  t.ok(figures.ringingBytes > 0);
  t.equal(figures.after.redis.streams['calls:records'].entries >= 80, true, 'detail records are counted');
  t.equal(budgets.length, 3);
  t.equal(run.code, budgets.every(({ met }: { met: boolean }) => met) ? 0 : 1, 'the exit code says it');

  const report = await bench(['report', json, '--output', page]);
  t.same(report, { code: 0, output: '' });
  t.match(readFileSync(page, 'utf8'), command);
});

t.test('what there is no benchmark of is refused', async (t) => {
  const { code, output } = await bench(['nonsense']);
  t.equal(code, 2);
  t.match(output, /there are start, call-rate, post-dial-delay/);
});
