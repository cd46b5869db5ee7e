/** Payload types that need no rtpmap (RFC 3551 table 4). */
const STATIC: ReadonlyMap<string, string> = new Map([
  ['0', 'PCMU'],
  ['3', 'GSM'],
  ['4', 'G723'],
  ['8', 'PCMA'],
  ['9', 'G722'],
  ['15', 'G728'],
  ['18', 'G729'],
]);

/**
 * The codec of an SDP answer: the first format of its audio line (RFC 8866 section 5.14), in capitals, as `PCMU`.
 *
 * @param audio the `m=audio` line
 * @param rtpmap an `a=rtpmap:` line, which names the format if it is a dynamic one and the same
 * @returns undefined where the stream is refused (port 0), or its format is not known
 */
export function codecOf(audio: string, rtpmap: string): string | undefined {
  const [, port, format = ''] =
    /^m=audio[ \t]+(\d{1,5})(?:\/\d+)?[ \t]+\S+[ \t]+(\d{1,3})(?!\S)/.exec(audio) ?? [];
  if (Number(port) === 0) return undefined;
  const [, mapped, name] = /^a=rtpmap:[ \t]*(\d{1,3})[ \t]+([\w.+-]{1,32})\/\d/.exec(rtpmap) ?? [];
  return STATIC.get(format) ?? (mapped === format ? name?.toUpperCase() : undefined);
}
