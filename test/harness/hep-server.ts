import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { parseMessage, type SipMessage } from './sip-message.js';
import type { TestLike } from './stack.js';

/** What HEPv3 tells of what was captured. */
interface HepPacketBase {
  readonly transport: 'udp' | 'tcp' | 'other';
  readonly source: string;
  readonly destination: string;
  /** When it was captured, in ms since 1970. */
  readonly at: number;
  /** 1 for SIP, 100 for a line of log. */
  readonly protocol: number;
  readonly captureId: number;
  readonly correlationId: string | undefined;
  readonly payload: string;
}

/** One captured SIP message. */
export interface HepPacket extends HepPacketBase {
  readonly message: SipMessage;
}

const HEADER_BYTES = 6;
const SIP = 1;

/** Parses a HEPv3 packet: `HEP3`, its length, then chunks of vendor, type, length and value (draft-hep section 3). */
export function parseHep(packet: Buffer): HepPacketBase {
  if (packet.toString('latin1', 0, 4) !== 'HEP3' || packet.readUInt16BE(4) !== packet.length) {
    throw new Error(`no HEPv3: ${packet.toString('hex', 0, 16)}`);
  }
  const chunks = new Map<number, Buffer>();
  for (let at = HEADER_BYTES; at < packet.length; ) {
    const length = packet.readUInt16BE(at + 4);
    chunks.set(packet.readUInt16BE(at + 2), packet.subarray(at + 6, at + length));
    at += length;
  }
  const chunk = (type: number): Buffer => {
    const value = chunks.get(type);
    if (value === undefined) throw new Error(`HEP without chunk ${type}`);
    return value;
  };
  const address = (ipv4: number, ipv6: number, port: number) => {
    const host = chunks.has(ipv4)
      ? [...chunk(ipv4)].join('.')
      : `[${new URL(
          `http://[${chunk(ipv6)
            .toString('hex')
            .replace(/.{4}(?!$)/g, '$&:')}]`,
        ).hostname.slice(1, -1)}]`;
    return `${host}:${chunk(port).readUInt16BE()}`;
  };
  const payload = chunk(0x0f).toString();
  return {
    transport: ({ 17: 'udp', 6: 'tcp' } as const)[chunk(0x02).readUInt8()] ?? 'other',
    source: address(0x03, 0x05, 0x07),
    destination: address(0x04, 0x06, 0x08),
    at: chunk(0x09).readUInt32BE() * 1000 + chunk(0x0a).readUInt32BE() / 1000,
    protocol: chunk(0x0b).readUInt8(),
    captureId: chunk(0x0c).readUInt32BE(),
    correlationId: chunks.get(0x11)?.toString(),
    payload,
  };
}

/** A capture server that keeps what it is sent. */
export class HepServer {
  readonly packets: HepPacket[] = [];
  readonly logs: HepPacketBase[] = [];
  readonly address: string;

  private constructor(address: string) {
    this.address = address;
  }

  static async start(t: TestLike, host = '127.0.0.1'): Promise<HepServer> {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.bind(0, host);
    await once(socket, 'listening');
    t.teardown(() => socket.close());
    const server = new HepServer(`udp:${host.includes(':') ? `[${host}]` : host}:${socket.address().port}`);
    socket.on('message', (datagram) => {
      const packet = parseHep(datagram);
      if (packet.protocol !== SIP) server.logs.push(packet);
      else server.packets.push({ ...packet, message: parseMessage(Buffer.from(packet.payload)) });
    });
    return server;
  }

  /** Copies of the messages of one call. */
  ofCall(callId: string): HepPacket[] {
    return this.packets.filter(({ message }) => message.get('call-id') === callId);
  }
}
