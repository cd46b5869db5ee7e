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

/**
 * JSON lines on standard output. Lines about a call carry `call_id`.
 *
 * @param level pino's level: trace, debug, info, warn, error or fatal
 */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    redact: { paths: REDACT, censor: '[redacted]' },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
