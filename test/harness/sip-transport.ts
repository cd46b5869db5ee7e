import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export type TransportKind = 'udp' | 'tcp';

/** Where a message goes to or came from; `socket` is the TCP connection it came in on. */
export interface Remote {
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

/** Bursts at load-test rates must not be lost in the kernel before Node gets to read them. */
const UDP_BUFFER_BYTES = 4 * 1024 * 1024;
const MAX_HEAD_BYTES = 64 * 1024;

/**
 * Binds a transport.
 * @throws the system error (EADDRINUSE and the like) if the address cannot be bound.
 */
export async function openTransport(
  kind: TransportKind,
  host: string,
  port: number,
  onData: OnData,
): Promise<Transport> {
  return kind === 'udp' ? UdpTransport.open(host, port, onData) : TcpTransport.open(host, port, onData);
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

class TcpTransport implements Transport {
  readonly kind = 'tcp';
  readonly port: number;
  readonly #server: Server;
  readonly #onData: OnData;
  readonly #sockets = new Set<Socket>();
  readonly #outgoing = new Map<string, Socket>();

  private constructor(server: Server, onData: OnData) {
    this.#server = server;
    this.#onData = onData;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => this.#adopt(socket));
  }

  static async open(host: string, port: number, onData: OnData): Promise<TcpTransport> {
    const server = createServer({ noDelay: true });
    server.listen(port, host);
    await once(server, 'listening');
    return new TcpTransport(server, onData);
  }

  send(data: string, to: Remote, onError?: (error: Error) => void): void {
    const socket = to.socket?.writable ? to.socket : this.#connection(to);
    socket.write(data, (error) => {
      if (error) onError?.(error);
    });
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #connection(to: Remote): Socket {
    const key = `${to.host}:${to.port}`;
    const open = this.#outgoing.get(key);
    if (open?.writable) return open;
    // From this peer's own address, which is what the far end knows it by.
    const { address: localAddress } = this.#server.address() as AddressInfo;
    const socket = connect({ host: to.host, port: to.port, localAddress, noDelay: true });
    this.#outgoing.set(key, socket);
    socket.on('close', () => {
      if (this.#outgoing.get(key) === socket) this.#outgoing.delete(key);
    });
    this.#adopt(socket);
    return socket;
  }

  #adopt(socket: Socket): void {
    const framer = new StreamFramer();
    this.#sockets.add(socket);
    socket.on('data', (chunk) => {
      const from = { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0, socket };
      for (const message of framer.push(chunk)) this.#onData(message, from);
      if (framer.broken) socket.destroy();
    });
    // A failed write or connect is reported to the sender; a reset by the far end needs no more than cleanup.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

/** Cuts a TCP stream into messages by Content-Length (RFC 3261 18.3); a missing one counts as 0. */
export class StreamFramer {
  #pending: Buffer = Buffer.alloc(0);
  #broken = false;

  /** True once the stream cannot be SIP: a head without an end. The connection is then useless. */
  get broken(): boolean {
    return this.#broken;
  }

  /** The messages that this chunk completes, in order. CRLF between messages (keep-alive) is skipped. */
  push(chunk: Buffer): Buffer[] {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const messages: Buffer[] = [];
    for (let message = this.#take(); message; message = this.#take()) messages.push(message);
    return messages;
  }

  #take(): Buffer | undefined {
    let start = 0;
    while (this.#pending[start] === 13 || this.#pending[start] === 10) start += 1;
    this.#pending = this.#pending.subarray(start);
    const end = this.#pending.indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#pending.length > MAX_HEAD_BYTES) this.#broken = true;
      return undefined;
    }
    const head = this.#pending.toString('latin1', 0, end);
    const length = /^(?:content-length|l)[ \t]*:[ \t]*(\d+)/im.exec(head)?.[1];
    const total = end + 4 + Number(length ?? 0);
    if (this.#pending.length < total) return undefined;
    const message = this.#pending.subarray(0, total);
    this.#pending = this.#pending.subarray(total);
    return message;
  }
}
