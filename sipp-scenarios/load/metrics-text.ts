/** Values of metrics in Prometheus' text format, by name. */
export class MetricsText {
  readonly #lines: readonly string[];

  constructor(text: string) {
    this.#lines = text.split('\n');
  }

  /** Sum over all series of a metric that have the labels. @returns undefined where there is none */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    let sum: number | undefined;
    for (const line of this.#lines) {
      if (!line.startsWith(name)) continue;
      const behind = line[name.length];
      if (behind !== ' ' && behind !== '{') continue;
      const end = line.lastIndexOf(' ');
      if (wanted.every((label) => line.slice(0, end).includes(label))) {
        sum = (sum ?? 0) + Number(line.slice(end + 1));
      }
    }
    return sum;
  }
}

/** Dialogs that Kamailio has, confirmed or not. @returns undefined where no node answers */
export function dialogsIn(metrics: MetricsText): number | undefined {
  const active = metrics.sum('retell_proxy_kamailio_active_dialogs');
  return active === undefined
    ? undefined
    : active + (metrics.sum('retell_proxy_kamailio_early_dialogs') ?? 0);
}
