import { TARGET } from './transfers.js';

/** The lists that the tables below are about. */
export const LISTS = {
  allow: ['+', '+1900', '+870773', '+1876', '+1787555018'],
  deny: ['+1809', '+44', '+1876', '+1787', '+17875550189'],
  hosts: ['PBX.example.com', 'sbc.example.com', '[2001:db8::1]'],
};

/** A number with a list of its own. */
export const LISTED = { number: '+14155550102', transfer_allow: ['+1415', '+1809', 'pbx.example.com'] };

/** What is made of a destination. */
export type Kind = 'number' | 'uri' | 'no';

export interface DestinationRow {
  to: string;
  is: Kind;
  /** What Kamailio makes of it where that differs: Retell writes a host of its own choice behind a number. */
  byRetell?: Kind;
  /** The number, or the URI as it is sent. */
  as?: string;
}

/** A destination that is sent as it was asked for. */
function uri(to: string): DestinationRow {
  return { to, is: 'uri', as: to };
}

function number(to: string, as = TARGET): DestinationRow {
  return { to, is: 'number', as };
}

function no(to: string): DestinationRow {
  return { to, is: 'no' };
}

/** A number at a host that is not in the list. */
function numberForRetell(to: string, as = TARGET): DestinationRow {
  return { to, is: 'no', byRetell: 'number', as };
}

const TEL = [
  number(`tel:${TARGET}`),
  number(`TEL:${TARGET}`),
  number('tel:+1-(415)-555.0188'),
  number(`tel:${TARGET};ext=102`),
  number(`tel:${TARGET};phone-context=example.com;ext=7`),
  number(`tel:${TARGET};x=${'a'.repeat(255 - `tel:${TARGET};x=`.length)}`),
  no(`tel:${TARGET};x=${'a'.repeat(256 - `tel:${TARGET};x=`.length)}`),
  no(`tel:${TARGET};ext=7?Replaces=1`),
  no(`tel:${TARGET}?Subject=x`),
  no(`tel:${TARGET};ext=%37`),
  no(`tel:${TARGET};ext=a!!b`),
  no(`tel:${TARGET};;ext=7`),
  no(`tel:${TARGET};`),
  no(`tel:${TARGET}@pbx.example.com`),
  no('tel:5550188'),
  no('tel:5550188;phone-context=+1415'),
  no('tel:14155550188'),
  no('tel:+04155550188'),
  no('tel:+1415'),
  no('tel:+14155550188999999'),
  no('tel:+1 415 555 0188'),
  no('tel:+1415555o188'),
  no('tel:+141%35550188'),
  no('tel:'),
];

const PREFIXES = [
  no('tel:+18095550188'),
  no('tel:+442079460123'),
  // Both lists have +1876.
  no('tel:+18765550188'),
  // The longest prefix decides, whichever list has it.
  no('tel:+17875550123'),
  number('tel:+17875550188', '+17875550188'),
  no('tel:+17875550189'),
  // Premium prefixes: one allowed by its name, one by a longer prefix.
  number('tel:+19005550188', '+19005550188'),
  number('tel:+870773150188', '+870773150188'),
  no('tel:+870776150188'),
];

const SIP = [
  uri('sip:200@pbx.example.com'),
  uri('sips:alice.b@PBX.Example.COM'),
  { to: 'SIP:200@pbx.example.com', is: 'uri', as: 'sip:200@pbx.example.com' },
  { to: 'SipS:200@pbx.example.com', is: 'uri', as: 'sips:200@pbx.example.com' },
  uri('sip:200@pbx.example.com:5080'),
  uri('sip:200@pbx.example.com:1'),
  uri('sip:200@pbx.example.com:65535'),
  uri('sip:200@pbx.example.com:00080'),
  no('sip:200@pbx.example.com:000080'),
  no('sip:200@pbx.example.com:0'),
  no('sip:200@pbx.example.com:00000;transport=tcp'),
  no('sip:200@pbx.example.com:65536'),
  no('sip:200@pbx.example.com:999999'),
  no('sip:200@pbx.example.com:'),
  no('sip:200@pbx.example.com:x'),
  uri('sip:200@pbx.example.com;transport=udp'),
  uri('sip:200@pbx.example.com:5061;transport=TLS;user=phone'),
  no('sip:200@pbx.example.com;transport=sctp'),
  no('sip:200@pbx.example.com;transport=tcp;transport=udp'),
  no('sip:200@pbx.example.com;user=phone;transport=tcp;User=phone'),
  no('sip:200@pbx.example.com;user=ip'),
  no('sip:200@pbx.example.com;maddr=192.0.2.66'),
  no('sip:200@pbx.example.com;method=BYE'),
  no('sip:200@pbx.example.com;'),
  no('sip:200@pbx.example.com?Subject=x'),
  no('sip:200@pbx.example.com;transport=tcp?Replaces=1'),
  uri('sip:200@[2001:db8::1]'),
  uri('sip:200@[2001:DB8::1]:5080;transport=tcp'),
  no('sip:200@[2001:db8::2]'),
  no('sip:200@2001:db8::1'),
  no('sip:200@[pbx.example.com]'),
  no('sip:200@elsewhere.example.com'),
  no('sip:200@pbx.example.com.elsewhere.example.com'),
  no('sip:pbx.example.com'),
  no('sip:@pbx.example.com'),
  no('sip:200@elsewhere.example.com@pbx.example.com'),
  uri(`sip:${'u'.repeat(64)}@pbx.example.com`),
  no(`sip:${'u'.repeat(65)}@pbx.example.com`),
  no(`sip:${'2'.repeat(250)}@pbx.example.com`),
  uri('sip:a+b.c_d~e*f!g-h@pbx.example.com'),
  no('sip:2%300@pbx.example.com'),
  no('sip:200:secret@pbx.example.com'),
  no('sip:200;x=y@pbx.example.com'),
  no('sip:200!!@pbx.example.com'),
  no('sip:2 00@pbx.example.com'),
  no('sip:"200"@pbx.example.com'),
  no('sip:2<0@pbx.example.com'),
  no('https://pbx.example.com/200'),
  no('urn:service:sos'),
] satisfies DestinationRow[];

/** What a user part at a host of the list may be dialled as must not be denied. */
const NUMBERS_AT_HOSTS = [
  uri(`sip:${TARGET}@pbx.example.com;user=phone`),
  uri('sip:0014155550188@pbx.example.com'),
  uri('sip:01114155550188@pbx.example.com'),
  no('sip:+18095550188@pbx.example.com'),
  no('sip:18095550188@pbx.example.com'),
  no('sip:0018095550188@pbx.example.com'),
  no('sip:01118095550188@pbx.example.com'),
  no('sip:+0018095550188@pbx.example.com'),
  no('sip:1-809-555-0188@pbx.example.com'),
  no('sip:*1809.555_0188!@pbx.example.com'),
  no('sip:+18095550188@[2001:db8::1]'),
  no('sip:870776150188@pbx.example.com'),
  // Letters make a name of it, few digits an extension.
  uri('sip:x18095550188@pbx.example.com'),
  uri('sip:180955@pbx.example.com'),
];

const NUMBERS_ELSEWHERE = [
  numberForRetell(`sip:${TARGET}@elsewhere.example.com`),
  numberForRetell(`SIPS:${TARGET}@elsewhere.example.com:5061`),
  numberForRetell(`sip:${TARGET}@192.0.2.66;transport=tcp`),
  numberForRetell(`sip:${TARGET}@[2001:db8::2]:5060`),
  numberForRetell(`sip:${TARGET}@elsewhere.example.com;maddr=192.0.2.66`),
  no(`sip:${TARGET}@elsewhere.example.com?Replaces=1`),
  no('sip:14155550188@elsewhere.example.com'),
  no('sip:0014155550188@elsewhere.example.com'),
  no('sip:+1-415-555-0188@elsewhere.example.com'),
  no('sip:+18095550188@elsewhere.example.com'),
  no(`sip:${TARGET}@`),
];

/**
 * Where calls may go by `LISTS`. The control plane goes by it for commands and functions, Kamailio for Retell's own
 * REFER.
 */
export const DESTINATIONS: readonly DestinationRow[] = [
  ...TEL,
  ...PREFIXES,
  ...SIP,
  ...NUMBERS_AT_HOSTS,
  ...NUMBERS_ELSEWHERE,
];

/** Where calls of the number `LISTED` may go, by its list and `LISTS`. */
export const DESTINATIONS_OF_LISTED: readonly DestinationRow[] = [
  number(`tel:${TARGET}`),
  no('tel:+12125550188'),
  // Its list only ever narrows.
  no('tel:+18095550188'),
  uri('sip:200@PBX.example.com'),
  no('sip:200@sbc.example.com'),
  no('sip:200@[2001:db8::1]'),
  // At a host, the host is what has to stand in the list.
  uri('sip:+12125550188@pbx.example.com'),
  no('sip:+14155550188@sbc.example.com'),
  numberForRetell(`sip:${TARGET}@elsewhere.example.com`),
  no('sip:+12125550188@elsewhere.example.com'),
];
