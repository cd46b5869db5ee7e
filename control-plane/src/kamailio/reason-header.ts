/** What a Reason header says of the end of a call. */
export interface StatedReason {
  /** Q.850 cause value (ITU-T Q.850 section 2.2.5), 0 to 127 */
  q850_cause?: number;
  /** In the words of who wrote it. */
  text?: string;
}

/** Runs of a list's values, and of a value's parameters: separators within quotes are none. */
const VALUE = /(?:"(?:\\.|[^"\\])*"?|[^",])+/g;
const PARAMETER = /(?:"(?:\\.|[^"\\])*"?|[^";])+/g;

/**
 * Reads a Reason header (RFC 3326 section 2) of any number of values, as `SIP;cause=486, Q.850;cause=17;text="User busy"`.
 * The text is that of the Q.850 value, or the first one that there is. What is cut off or garbled is left out.
 */
export function readReason(header: string): StatedReason {
  const values = (header.match(VALUE) ?? []).map(readValue);
  const q850 = values.find(({ protocol }) => protocol === 'q.850');
  const cause = /^\d{1,3}$/.test(q850?.cause ?? '') ? Number(q850?.cause) : undefined;
  const text = q850?.text || values.find((value) => value.text)?.text;
  return {
    ...(cause !== undefined && cause <= 127 && { q850_cause: cause }),
    ...(text && { text }),
  };
}

function readValue(value: string) {
  const [protocol = '', ...parameters] = value.match(PARAMETER) ?? [];
  const named = new Map(
    parameters.map((parameter): [string, string] => {
      const [name = '', ...rest] = parameter.split('=');
      return [name.trim().toLowerCase(), unquoted(rest.join('=').trim())];
    }),
  );
  return { protocol: protocol.trim().toLowerCase(), cause: named.get('cause'), text: named.get('text') };
}

/** The closing quote may have been cut off. */
function unquoted(text: string): string {
  if (!text.startsWith('"')) return text;
  return (/^"((?:\\.|[^"\\])*)/.exec(text)?.[1] ?? '').replace(/\\(.)/g, '$1').trim();
}
