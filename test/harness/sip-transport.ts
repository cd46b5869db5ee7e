import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { StreamTransport } from './sip-stream.js';
import type { TlsLog, TlsOptions } from './sip-tls.js';

export type TransportKind = 'udp' | 'tcp' | 'tls';

/** Where a message goes to or came from; `socket` is the TCP or TLS connection it came in on. */
export interface Remote {
  /** A name or address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  readonly socket?: Socket;
}

/** A listening socket that delivers whole messages, still unparsed. */
export interface Transport {
  readonly kind: TransportKind;
  readonly port: number;
  /** Sends one message; `onError` is called once if it could not be handed to the network. */
  send(data: string, to: Remote, onError?: (error: Error) => void): void;
  close(): Promise<void>;
}

export type OnData = (data: Buffer, from: Remote) => void;

/** What TLS needs besides an address. */
export interface Security {
  readonly options: TlsOptions;
  readonly log: TlsLog;
}

/** Bursts at load-test rates must not be lost in the kernel before Node gets to read them. */
const UDP_BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * Binds a transport; with `security` the streams are TLS.
 * @throws the system error (EADDRINUSE and the like) if the address cannot be bound.
 */
export async function openTransport(
  kind: TransportKind,
  host: string,
  port: number,
  onData: OnData,
  security?: Security,
): Promise<Transport> {
  if (kind === 'udp') return UdpTransport.open(host, port, onData);
  return StreamTransport.open(host, port, onData, kind === 'tls' ? security : undefined);
}

class UdpTransport implements Transport {
  readonly kind = 'udp';
  readonly port: number;
  readonly #socket: UdpSocket;

  private constructor(socket: UdpSocket) {
    this.#socket = socket;
    this.port = socket.address().port;
  }

  static async open(host: string, port: number, onData: OnData): Promise<UdpTransport> {
    const socket = createSocket({
      type: host.includes(':') ? 'udp6' : 'udp4',
      recvBufferSize: UDP_BUFFER_BYTES,
      sendBufferSize: UDP_BUFFER_BYTES,
    });
    socket.bind(port, host);
    try {
      await once(socket, 'listening');
    } catch (error) {
      socket.close();
      throw error;
    }
    // Errors of single datagrams reach the sender's callback; the socket itself goes on.
    socket.on('error', () => undefined);
    socket.on('message', (data, from) => onData(data, { host: from.address, port: from.port }));
    return new UdpTransport(socket);
  }

  send(data: string, to: Remote, onError?: (error: Error) => void): void {
    this.#socket.send(data, to.port, to.host, (error) => {
      if (error) onError?.(error);
    });
  }

  async close(): Promise<void> {
    const closed = once(this.#socket, 'close');
    this.#socket.close();
    await closed;
  }
}
