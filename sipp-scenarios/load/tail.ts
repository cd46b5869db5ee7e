import { open } from 'node:fs/promises';

const CHUNK_BYTES = 256 * 1024;

/** Reads what is appended to a file, whole lines alone. */
export class Tail {
  readonly #path: string;
  #offset = 0;
  #rest = '';

  constructor(path: string) {
    this.#path = path;
  }

  /** Lines since the last time; none while there is no such file. */
  async lines(): Promise<string[]> {
    const file = await open(this.#path).catch(() => undefined);
    if (file === undefined) return [];
    const lines: string[] = [];
    try {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      for (;;) {
        const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, this.#offset);
        if (bytesRead === 0) break;
        this.#offset += bytesRead;
        const parts = (this.#rest + chunk.toString('latin1', 0, bytesRead)).split('\n');
        this.#rest = parts.pop() ?? '';
        for (const part of parts) lines.push(part);
      }
    } finally {
      await file.close();
    }
    return lines;
  }
}
