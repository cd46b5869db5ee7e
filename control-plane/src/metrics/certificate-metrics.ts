import { Gauge, type Registry } from 'prom-client';
import type { CertificateExpiry } from '../config/certificate-expiry.js';

/** How long the configured certificates hold. */
export class CertificateMetrics {
  readonly #expiry: Gauge<'certificate'>;

  constructor(registry: Registry) {
    this.#expiry = new Gauge({
      name: 'retell_proxy_certificate_expiry_timestamp_seconds',
      help: 'When the first certificate of a configured file ends',
      labelNames: ['certificate'],
      registers: [registry],
    });
  }

  read(expiries: readonly CertificateExpiry[]): void {
    this.#expiry.reset();
    for (const { certificate, expiresAt } of expiries) this.#expiry.set({ certificate }, expiresAt / 1000);
  }
}
