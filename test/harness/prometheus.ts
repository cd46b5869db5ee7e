import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { ROOT } from '../../control-plane/src/cli/paths.js';
import { freePort } from '../../control-plane/src/cli/ports.js';
import { eventually } from './await.js';
import { Part, startPart } from './part.js';
import type { TestLike } from './stack.js';

/** One series of an answer. */
export interface Sample {
  metric: Record<string, string>;
  value: number;
}

/** A real Prometheus that scrapes one control plane every second and has the rules of this repository. */
export class Prometheus {
  readonly #url: string;

  private constructor(url: string) {
    this.#url = url;
  }

  /** @param target URL of the control plane */
  static async start(t: TestLike, target: string): Promise<Prometheus> {
    const directory = await mkdtemp(join(tmpdir(), 'retell-proxy-prometheus-'));
    t.teardown(() => rm(directory, { recursive: true, force: true }));
    const address = `127.0.0.1:${await freePort()}`;
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [join(ROOT, 'monitoring/prometheus/rules/*.yml')],
      scrape_configs: [
        { job_name: 'retell-sip-proxy', static_configs: [{ targets: [new URL(target).host] }] },
      ],
    };
    const file = join(directory, 'prometheus.yml');
    await writeFile(file, JSON.stringify(config));
    const prometheus = new Prometheus(`http://${address}`);
    const spec = {
      name: 'prometheus',
      command: 'prometheus',
      args: [
        `--config.file=${file}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=${address}`,
      ],
      ready: () => prometheus.#isReady(),
    };
    await startPart(t, new Part(spec, () => {}));
    return prometheus;
  }

  /** What an instant query gives now. @throws where it is no query */
  async query(expr: string): Promise<Sample[]> {
    const { result } = await this.#get(`query?query=${encodeURIComponent(expr)}`);
    const series = result as { metric: Record<string, string>; value: [number, string] }[];
    return series.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  /** The one value of a query, undefined where it has none. */
  async value(expr: string): Promise<number | undefined> {
    const [sample] = await this.query(expr);
    return sample?.value;
  }

  /** Names of all metrics that the target says it has. */
  async metrics(): Promise<Set<string>> {
    const families = (await this.#get('targets/metadata')) as unknown as { metric: string }[];
    return new Set(families.map(({ metric }) => metric));
  }

  /** Every rule with its state. */
  async rules(): Promise<{ name: string; health: string; lastError?: string }[]> {
    const { groups } = (await this.#get('rules')) as unknown as {
      groups: { rules: { name: string; health: string; lastError?: string }[] }[];
    };
    return groups.flatMap(({ rules }) => rules);
  }

  async #get(path: string): Promise<{ result: unknown }> {
    const reply = await request(`${this.#url}/api/v1/${path}`);
    const body = (await reply.body.json()) as { status: string; error?: string; data: { result: unknown } };
    if (body.status !== 'success') throw new Error(`${path}: ${body.error}`);
    return body.data;
  }

  async #isReady(): Promise<void> {
    await eventually('a scrape', async () => (await this.value('up').catch(() => undefined)) === 1, 30_000);
  }
}
