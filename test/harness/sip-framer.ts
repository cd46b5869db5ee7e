const MAX_HEAD_BYTES = 64 * 1024;

/** Cuts a TCP or TLS stream into messages by Content-Length (RFC 3261 18.3); a missing one counts as 0. */
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
