import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { PROBLEMS, Problem, type ProblemCode, problemBody } from './problems.js';

/** What Node says of a request that never got as far as a route, and the problem that it is answered with. */
const CODES: Readonly<Record<string, readonly [code: ProblemCode, detail: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timeout', 'the request was not there in time'],
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'the headers are longer than 16 KiB'],
};

/** Answers what is no request, or too slow to become one, and closes the connection. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const [code, detail] = CODES[error.code ?? ''] ?? ['bad_request', 'this is no HTTP request'];
  const { status } = PROBLEMS[code];
  const body = JSON.stringify(problemBody(new Problem(code, detail), randomUUID()));
  if (socket.writable) {
    socket.write(
      [
        `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
        'Content-Type: application/problem+json',
        `Content-Length: ${Buffer.byteLength(body)}`,
        'Connection: close',
        '',
        body,
      ].join('\r\n'),
    );
  }
  socket.destroySoon();
}
