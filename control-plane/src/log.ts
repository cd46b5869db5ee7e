import pino, { type DestinationStream, type Logger } from 'pino';

/** What never appears in a log line. */
const REDACT = [
  'req.headers.authorization',
  'token',
  '*.token',
  '*.rpc_token',
  '*.password',
  '*.api_key',
  'authorization',
  '*.authorization',
];

/** Telephone numbers: after +, also encoded in a URL, or at the start of a SIP or tel URI; or the whole of a text. */
const NUMBERS = /(\+|%2B|\bsips?:|\btel:)(\d{4})\d{1,9}(\d{2})(?!\d)|"(\d{4})\d{1,9}(\d{2})"/gi;

/** A line with `+14155550123` as `+1415***23`. */
export function maskNumbers(line: string): string {
  return line.replace(NUMBERS, (_, before, head, tail, textHead, textTail) =>
    before === undefined ? `"${textHead}***${textTail}"` : `${before}${head}***${tail}`,
  );
}

/**
 * JSON lines on standard output. Lines about a call carry `call_id`.
 *
 * @param level pino's level: trace, debug, info, warn, error or fatal
 * @param numbers whether telephone numbers are masked
 */
export function createLogger(
  level: string,
  numbers: 'masked' | 'full' = 'masked',
  destination?: DestinationStream,
): Logger {
  const options = {
    level,
    ...(numbers === 'masked' && { hooks: { streamWrite: maskNumbers } }),
    redact: { paths: REDACT, censor: '[redacted]' },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
