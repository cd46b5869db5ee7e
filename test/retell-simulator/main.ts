import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { RetellSimulator, type SimulatorOptions } from './simulator.js';

const { values } = parseArgs({
  options: {
    host: { type: 'string' },
    'sip-port': { type: 'string' },
    'http-port': { type: 'string' },
    'api-key': { type: 'string' },
    'webhook-url': { type: 'string' },
    'webhook-key': { type: 'string' },
    'inbound-webhook-url': { type: 'string' },
    'termination-uri': { type: 'string' },
    'concurrency-limit': { type: 'string' },
    'tls-port': { type: 'string' },
    'tls-certificate': { type: 'string' },
    'tls-key': { type: 'string' },
    trace: { type: 'string' },
  },
});

/** Leaves out what was not given, so that the simulator's own defaults hold. */
function given<T extends object>(options: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));

const { 'tls-certificate': certificate, 'tls-key': key, 'tls-port': tlsPort } = values;
const tls =
  certificate === undefined || key === undefined
    ? undefined
    : {
        cert: readFileSync(certificate, 'utf8'),
        key: readFileSync(key, 'utf8'),
        port: number(tlsPort) ?? 0,
      };

const simulator = await RetellSimulator.start(
  given<SimulatorOptions>({
    host: values.host,
    sipPort: number(values['sip-port']),
    httpPort: number(values['http-port']),
    apiKey: values['api-key'] ?? process.env.RETELL_SIMULATOR_API_KEY,
    webhookKey: values['webhook-key'],
    terminationUri: values['termination-uri'],
    concurrencyLimit: number(values['concurrency-limit']),
    tls,
    trace: number(values.trace),
    webhooks: { url: values['webhook-url'] ?? '', inbound_url: values['inbound-webhook-url'] ?? '' },
  }),
);

const { host, port, tls: secure } = simulator.sip;
const also = secure ? `, ${host}:${secure.port} (TLS)` : '';
process.stdout.write(`retell-simulator: SIP ${host}:${port} (UDP, TCP)${also}, HTTP ${simulator.http.url}\n`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void simulator.stop());
}
