import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { StreamFramer } from './sip-framer.js';
import { tlsConnect, tlsServer } from './sip-tls.js';
import type { OnData, Remote, Security, Transport } from './sip-transport.js';

type OnError = (error: Error) => void;

/** TCP or TLS: a server, and connections to others that are opened when needed and then used again. */
export class StreamTransport implements Transport {
  readonly kind: 'tcp' | 'tls';
  readonly port: number;
  readonly #server: Server;
  readonly #onData: OnData;
  readonly #security: Security | undefined;
  readonly #sockets = new Set<Socket>();
  readonly #outgoing = new Map<string, Socket>();
  /**
   * Senders to tell if a connection closes before anything came back on it. With TLS 1.3 a client hears only
   * after its first writes that its certificate was refused, so that a good write proves nothing yet.
   */
  readonly #unproven = new Map<Socket, Set<OnError>>();
  #closing = false;

  private constructor(server: Server, onData: OnData, security: Security | undefined) {
    this.kind = security ? 'tls' : 'tcp';
    this.#server = server;
    this.#onData = onData;
    this.#security = security;
    this.port = (server.address() as AddressInfo).port;
    if (security) this.#serveTls(security);
    else server.on('connection', (socket) => this.#adopt(socket));
  }

  static async open(
    host: string,
    port: number,
    onData: OnData,
    security: Security | undefined,
  ): Promise<StreamTransport> {
    const server = security ? tlsServer(security.options) : createServer({ noDelay: true });
    server.listen(port, host);
    await once(server, 'listening');
    return new StreamTransport(server, onData, security);
  }

  send(data: string, to: Remote, onError?: OnError): void {
    const socket = to.socket?.writable ? to.socket : this.#connection(to);
    if (onError) this.#unproven.get(socket)?.add(onError);
    socket.write(data, (error) => {
      // On an unproven connection the end of the connection tells, which knows the cause.
      if (error && !this.#unproven.has(socket)) onError?.(error);
    });
  }

  async close(): Promise<void> {
    this.#closing = true;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #serveTls({ options, log }: Security): void {
    this.#server.on('connection', (socket) => this.#track(socket));
    this.#server.on('tlsClientError', (error: Error) => {
      if (!this.#closing) log.fail('server', error);
    });
    this.#server.on('secureConnection', (socket: TLSSocket) => {
      const problem = log.judge('server', socket, options);
      if (!problem) return this.#adopt(socket);
      log.fail('server', problem);
      socket.on('error', () => undefined);
      socket.destroy();
    });
  }

  #connection(to: Remote): Socket {
    const key = `${to.host} ${to.port}`;
    const open = this.#outgoing.get(key);
    if (open?.writable) return open;
    // From this peer's own address, which is what the far end knows it by.
    const { address: localAddress } = this.#server.address() as AddressInfo;
    const where = { host: to.host, port: to.port, localAddress, noDelay: true };
    const socket = this.#security ? this.#connectTls(where, this.#security) : connect(where);
    this.#outgoing.set(key, socket);
    socket.on('close', () => {
      if (this.#outgoing.get(key) === socket) this.#outgoing.delete(key);
    });
    this.#watch(socket);
    this.#adopt(socket);
    return socket;
  }

  #connectTls(where: Parameters<typeof tlsConnect>[0], { options, log }: Security): TLSSocket {
    const socket = tlsConnect(where, options);
    // Nothing goes out before the server's certificate is judged.
    socket.cork();
    socket.once('secureConnect', () => {
      const problem = log.judge('client', socket, options);
      if (problem) socket.destroy(problem);
      else socket.uncork();
    });
    return socket;
  }

  /** Tells the senders, and for TLS the log, of a connection that ends before anything came back. */
  #watch(socket: Socket): void {
    const senders = new Set<OnError>();
    let connected = false;
    let cause: Error | undefined;
    this.#unproven.set(socket, senders);
    socket.once('connect', () => {
      connected = true;
    });
    socket.once('data', () => this.#unproven.delete(socket));
    socket.on('error', (error) => {
      cause = error;
    });
    socket.on('close', () => {
      if (!this.#unproven.delete(socket) || this.#closing) return;
      const error = cause ?? new Error('the connection was closed before anything came back');
      if (connected) this.#security?.log.fail('client', error);
      for (const tell of senders) tell(error);
    });
  }

  #adopt(socket: Socket): void {
    const framer = new StreamFramer();
    this.#track(socket);
    socket.on('data', (chunk) => {
      const from = { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0, socket };
      for (const message of framer.push(chunk)) this.#onData(message, from);
      if (framer.broken) socket.destroy();
    });
    // A failed write or connect is reported to the sender; a reset by the far end needs no more than cleanup.
    socket.on('error', () => undefined);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }
}
