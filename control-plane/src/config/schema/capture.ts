import Type from 'typebox';
import { strict } from './common.js';

export const Capture = Type.Object(
  {
    hep: Type.String({
      description: 'Where copies go by HEPv3: udp:address:port, IPv6 in brackets',
      format: 'hep-address',
      examples: ['udp:192.0.2.30:9060'],
    }),
    node_id: Type.Integer({
      description: 'Capture id of the first node; each further one in kamailio.nodes has the next number',
      unit: 'id',
      default: 2001,
      minimum: 1,
      maximum: 2_000_000_000,
    }),
  },
  { ...strict, description: 'A copy of every SIP message for a capture server; without it none is made' },
);
