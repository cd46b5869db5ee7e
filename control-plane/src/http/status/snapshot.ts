import type { CallFigures, HourFigures, OpenFigures } from '../../calls/call-figures.js';
import type { Reconciler, Reconciliation } from '../../calls/reconciler/reconciler.js';
import type { Carriers, GatewayView } from '../../routing/carriers.js';
import type { ReadinessCheck } from '../routes/operations.js';

/** How old figures may be that are shown, in ms. */
const FRESH_MS = 1500;
/** The same of those that take more work: thousands of records, or many questions to a node. */
const FRESH_MUCH_MS = 4000;

/** A figure, or `away` where what it comes from does not answer. */
export type Figure<T> = { value: T } | 'away';

export interface GatewayRow extends Pick<GatewayView, 'uri' | 'state' | 'latency_ms' | 'calls'> {
  /** name of the carrier, or Retell */
  owner: string;
}

/** All that the status page shows, at one time. */
export interface Snapshot {
  /** ms since 1970 */
  at: number;
  open: Figure<OpenFigures>;
  hour: Figure<HourFigures>;
  gateways: Figure<GatewayRow[]>;
  /** Redis and the nodes, and whether each answers. */
  dependencies: { name: string; answers: boolean }[];
  /** undefined before the first run */
  reconciliation: Figure<Reconciliation | undefined>;
}

export interface SnapshotsOptions {
  figures: Pick<CallFigures, 'open' | 'lastHour'>;
  carriers: Pick<Carriers, 'list' | 'retell'>;
  reconciler: Pick<Reconciler, 'last'>;
  checks: ReadonlyMap<string, ReadinessCheck>;
}

/** Gathers what the status page shows, once for everybody who looks. */
export class Snapshots {
  readonly #parts: {
    open: () => Promise<Figure<OpenFigures>>;
    hour: () => Promise<Figure<HourFigures>>;
    gateways: () => Promise<Figure<GatewayRow[]>>;
    dependencies: () => Promise<Snapshot['dependencies']>;
    reconciliation: () => Promise<Figure<Reconciliation | undefined>>;
  };

  constructor({ figures, carriers, reconciler, checks }: SnapshotsOptions) {
    this.#parts = {
      open: kept(FRESH_MS, () => figureOf(figures.open())),
      hour: kept(FRESH_MUCH_MS, () => figureOf(figures.lastHour(Date.now()))),
      gateways: kept(FRESH_MUCH_MS, () => figureOf(gatewaysOf(carriers))),
      dependencies: kept(FRESH_MUCH_MS, () => answering(checks)),
      reconciliation: kept(FRESH_MUCH_MS, () => figureOf(reconciler.last())),
    };
  }

  /** Never rejects. */
  async current(): Promise<Snapshot> {
    const [open, hour, gateways, dependencies, reconciliation] = await Promise.all([
      this.#parts.open(),
      this.#parts.hour(),
      this.#parts.gateways(),
      this.#parts.dependencies(),
      this.#parts.reconciliation(),
    ]);
    return { at: Date.now(), open, hour, gateways, dependencies, reconciliation };
  }
}

/** Reads at most once at a time, and again once what was read is older than `freshMs`. */
function kept<T>(freshMs: number, read: () => Promise<T>): () => Promise<T> {
  let reading: Promise<T> | undefined;
  let staleAt = 0;
  return () => {
    if (reading === undefined || performance.now() >= staleAt) {
      staleAt = Number.POSITIVE_INFINITY;
      reading = read().finally(() => {
        staleAt = performance.now() + freshMs;
      });
    }
    return reading;
  };
}

/** Whoever does not answer tells so in the log and the metrics; here it is one word. */
async function figureOf<T>(reading: Promise<T>): Promise<Figure<T>> {
  return reading.then(
    (value) => ({ value }),
    () => 'away' as const,
  );
}

async function gatewaysOf(carriers: SnapshotsOptions['carriers']): Promise<GatewayRow[]> {
  const [list, retell] = await Promise.all([carriers.list(), carriers.retell()]);
  return [{ name: 'Retell', gateways: retell.gateways, drained: false }, ...list].flatMap(
    ({ name, gateways, drained }) =>
      gateways.map(({ uri, state, latency_ms, calls }) => ({
        owner: name,
        uri,
        state: drained ? ('drained' as const) : state,
        latency_ms,
        calls,
      })),
  );
}

async function answering(checks: SnapshotsOptions['checks']): Promise<Snapshot['dependencies']> {
  return Promise.all(
    [...checks].map(async ([name, check]) => {
      const answers = await check().then(
        () => true,
        () => false,
      );
      return { name, answers };
    }),
  );
}
