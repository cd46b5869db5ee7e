/** No media flows; the port only has to look like one. */
export const MEDIA_PORT = 40_000;

/** An SDP body (RFC 4566) that offers PCMU and telephone events as payload type 101. */
export function sdp(host: string, port: number): string {
  const family = host.includes(':') ? 'IP6' : 'IP4';
  const lines = [
    'v=0',
    `o=- 1 1 IN ${family} ${host}`,
    's=-',
    `c=IN ${family} ${host}`,
    't=0 0',
    `m=audio ${port} RTP/AVP 0 101`,
    'a=rtpmap:0 PCMU/8000',
    'a=rtpmap:101 telephone-event/8000',
    'a=fmtp:101 0-15',
    'a=sendrecv',
  ];
  return `${lines.join('\r\n')}\r\n`;
}
