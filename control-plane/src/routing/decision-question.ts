import { microsOf } from '../kamailio/micros.js';

/**
 * The question that Kamailio asks for an INVITE that waits (kamailio/decisions.cfg). On the wire every value
 * is a string; what strangers control is base64, and Kamailio writes `<null>` for nothing.
 */
export interface DecisionQuestion {
  /** The call's id. */
  id: string;
  /** Kamailio's time of the INVITE, in ms since 1970. */
  atMs: number;
  /** Names the suspended transaction, together with `t_label`. */
  t_index: string;
  t_label: string;
  /** The configured number that was dialled. */
  number: string;
  carrier: string;
  /** user part of the From header, as the carrier sent it; empty for none */
  from: string;
}

/** A question that cannot be read, and so not be answered. */
export class QuestionFormatError extends Error {
  override readonly name = 'QuestionFormatError';
}

/** Reads one entry of the stream `sip:decisions:{node}`. @throws QuestionFormatError */
export function parseQuestion(text: string): DecisionQuestion {
  const raw = parseObject(text);
  const optional = (name: string): string => {
    const value = raw[name];
    return typeof value === 'string' && value !== '<null>' ? value : '';
  };
  const required = (name: string, pattern: RegExp): string => {
    const value = optional(name);
    if (!pattern.test(value)) throw new QuestionFormatError(`a question without a usable ${name}`);
    return value;
  };
  const at = microsOf(optional('at'));
  if (at === undefined) throw new QuestionFormatError('a question without a usable at');
  return {
    id: required('id', /./),
    atMs: at / 1000,
    t_index: required('t_index', /^\d{1,10}$/),
    t_label: required('t_label', /^\d{1,10}$/),
    number: required('number', /./),
    carrier: optional('carrier'),
    from: Buffer.from(optional('from'), 'base64').toString('utf8'),
  };
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new QuestionFormatError('a question that is not JSON');
  }
  if (typeof value !== 'object' || value === null)
    throw new QuestionFormatError('a question that is no object');
  return value as Record<string, unknown>;
}
