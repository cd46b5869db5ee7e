import { availableParallelism } from 'node:os';
import Type from 'typebox';
import { strict } from './common.js';

/** Kamailio worker processes for each UDP socket when the file names none. */
const defaultWorkers = Math.min(32, Math.max(4, 2 * availableParallelism()));

/** The roots that Debian keeps up to date. */
export const SYSTEM_ROOTS = '/etc/ssl/certs/ca-certificates.crt';

const Tls = Type.Object(
  {
    certificate: Type.String({
      description: 'PEM file with our certificate, and after it those between it and its root',
      format: 'file',
      examples: ['/etc/retell-proxy/fullchain.pem'],
    }),
    private_key: Type.String({
      description: 'PEM file with its private key, without a passphrase',
      format: 'file',
      // The key itself may stand there by mistake.
      secret: true,
      examples: ['/etc/retell-proxy/privkey.pem'],
    }),
    ca: Type.String({
      description: 'PEM file with the roots that the certificates of peers must lead to',
      format: 'file',
      default: SYSTEM_ROOTS,
    }),
    require_client_certificate: Type.Boolean({
      description: 'Whether everybody who connects to us has to show a certificate (mutual TLS)',
      default: false,
    }),
  },
  { ...strict, description: 'TLS on the SIP side; needed where a socket is tls' },
);

export const Sip = Type.Object(
  {
    listen: Type.Array(
      Type.String({
        description: 'transport:address:port; transports udp, tcp and tls',
        format: 'sip-listen',
        examples: ['udp:0.0.0.0:5060', 'tcp:[::1]:5060'],
      }),
      {
        description: 'Sockets on which Kamailio takes SIP',
        minItems: 1,
        maxItems: 32,
        examples: [['udp:0.0.0.0:5060', 'tcp:0.0.0.0:5060']],
      },
    ),
    advertise: Type.Optional(
      Type.String({
        description: 'Public name or address, with :port if it differs, for Via, Contact and Record-Route',
        format: 'advertise',
        examples: ['sip.example.com'],
      }),
    ),
    tls: Type.Optional(Tls),
    workers: Type.Integer({
      description: 'Kamailio worker processes for each UDP socket',
      unit: 'processes',
      default: defaultWorkers,
      default_text: 'CPU cores times 2, 4 to 32',
      minimum: 1,
      maximum: 128,
    }),
  },
  { ...strict, description: 'The SIP side of Kamailio' },
);
