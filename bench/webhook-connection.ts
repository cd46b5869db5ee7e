import { connect, type Socket } from 'node:net';

/** A connection that is kept alive and carries one request at a time; as little work as can be, not to be measured itself. */
export class WebhookConnection {
  readonly #socket: Socket;
  #answer = '';
  #answered: ((status: number) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true).setEncoding('latin1');
    socket.on('data', (chunk: string) => this.#take(chunk));
    socket.on('error', () => {});
    socket.on('close', () => this.#answered?.(0));
  }

  /** @throws the system error where nobody listens */
  static open(host: string, port: number): Promise<WebhookConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new WebhookConnection(socket));
      });
    });
  }

  /** @param answered gets the status, or 0 where the connection ended without one */
  send(request: Buffer, answered: (status: number) => void): void {
    if (this.#socket.destroyed) {
      answered(0);
      return;
    }
    this.#answered = answered;
    this.#socket.write(request);
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: string): void {
    this.#answer += chunk;
    const head = this.#answer.indexOf('\r\n\r\n');
    if (head === -1) return;
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(this.#answer.slice(0, head))?.[1] ?? 0);
    if (this.#answer.length < head + 4 + length) return;
    const status = Number(this.#answer.slice(9, 12));
    const answered = this.#answered;
    this.#answer = '';
    this.#answered = undefined;
    answered?.(status);
  }
}
