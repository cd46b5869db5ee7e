import { TARGET } from './transfers.js';

/** The lists that the table below is about. */
export const LISTS = {
  allow: ['+', '+1900555'],
  deny: ['+1809', '+44'],
  hosts: ['PBX.example.com', '[2001:db8::1]'],
};

/**
 * Where calls may go. The control plane goes by it for commands and functions, Kamailio for Retell's own REFER: what each
 * makes of a destination is `number`, `uri` or `no`. `byRetell` is Kamailio's where it differs: Retell writes a host of
 * its own choice behind a number.
 */
export const DESTINATIONS: readonly {
  to: string;
  is: 'number' | 'uri' | 'no';
  byRetell?: 'number' | 'uri' | 'no';
  /** the number, or the URI as it is sent */
  as?: string;
}[] = [
  { to: `tel:${TARGET}`, is: 'number', as: TARGET },
  { to: 'tel:+1-(415)-555.0188', is: 'number', as: TARGET },
  { to: `tel:${TARGET};ext=102`, is: 'number', as: TARGET },
  { to: 'TEL:+14155550188', is: 'number', as: TARGET },
  { to: 'tel:5550188', is: 'no' },
  { to: 'tel:+1415', is: 'no' },
  { to: 'tel:+14155550188999999', is: 'no' },
  { to: 'tel:+18095550188', is: 'no' },
  { to: 'tel:+442079460123', is: 'no' },
  // A longer prefix that is allowed, of a premium one.
  { to: 'tel:+19005550188', is: 'number', as: '+19005550188' },
  { to: 'tel:+19004440188', is: 'no' },
  { to: 'tel:+870773150188', is: 'no' },
  { to: 'sip:200@pbx.example.com', is: 'uri', as: 'sip:200@pbx.example.com' },
  { to: 'sips:alice.b@PBX.Example.COM', is: 'uri', as: 'sips:alice.b@PBX.Example.COM' },
  { to: 'sip:200@pbx.example.com:5080', is: 'uri', as: 'sip:200@pbx.example.com:5080' },
  { to: 'sip:200@pbx.example.com;transport=tls', is: 'uri', as: 'sip:200@pbx.example.com;transport=tls' },
  { to: 'sip:200@[2001:db8::1]', is: 'uri', as: 'sip:200@[2001:db8::1]' },
  { to: 'sip:200@[2001:db8::1]:5080', is: 'uri', as: 'sip:200@[2001:db8::1]:5080' },
  {
    to: `sip:${TARGET}@pbx.example.com;user=phone`,
    is: 'uri',
    as: `sip:${TARGET}@pbx.example.com;user=phone`,
  },
  { to: 'sip:+18095550188@pbx.example.com', is: 'no' },
  { to: 'sip:0018095550188@pbx.example.com', is: 'no' },
  { to: 'sip:01118095550188@pbx.example.com', is: 'no' },
  { to: 'sip:1-809-555-0188@pbx.example.com', is: 'no' },
  // Letters make a name of it.
  { to: 'sip:x18095550188@pbx.example.com', is: 'uri', as: 'sip:x18095550188@pbx.example.com' },
  { to: 'sip:200@elsewhere.example.com', is: 'no' },
  { to: `sip:${TARGET}@elsewhere.example.com`, is: 'no', byRetell: 'number', as: TARGET },
  { to: `sip:${TARGET}@192.0.2.66;transport=tcp`, is: 'no', byRetell: 'number', as: TARGET },
  { to: 'sip:+18095550188@elsewhere.example.com', is: 'no' },
  { to: 'sip:pbx.example.com', is: 'no' },
  { to: 'sip:200@pbx.example.com;maddr=192.0.2.66', is: 'no' },
  { to: 'sip:200@pbx.example.com;transport=sctp', is: 'no' },
  { to: 'sip:200@pbx.example.com?Subject=x', is: 'no' },
  { to: 'sip:2%300@pbx.example.com', is: 'no' },
  { to: 'sip:200:secret@pbx.example.com', is: 'no' },
  { to: 'sip:200!!@pbx.example.com', is: 'no' },
  { to: `sip:${'2'.repeat(250)}@pbx.example.com`, is: 'no' },
  { to: 'https://pbx.example.com/200', is: 'no' },
  { to: 'urn:service:sos', is: 'no' },
];
