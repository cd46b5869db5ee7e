import { InvalidArgumentError } from 'commander';

const UNITS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };

/** Reads a time such as 500ms, 30s, 10m or 2h; a number alone is seconds. @returns seconds */
export function seconds(text: string): number {
  const [, number = '', unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  if (number === '')
    throw new InvalidArgumentError('write a time as 500ms, 30s, 10m or 2h; a number alone is seconds.');
  return Number(number) * (UNITS[unit] ?? 1);
}

/** As `seconds`, over 0. */
export function secondsOverZero(text: string): number {
  const value = seconds(text);
  if (value === 0) throw new InvalidArgumentError('it has to be over 0.');
  return value;
}

/** Reads a share such as 0.1%. @returns 0 to 1 */
export function share(text: string): number {
  const [, number = ''] = /^(\d+(?:\.\d+)?)%$/.exec(text) ?? [];
  if (number === '' || Number(number) > 100)
    throw new InvalidArgumentError('write a share as 0.1%, from 0% to 100%.');
  return Number(number) / 100;
}

/** Reads calls a second, over 0. */
export function perSecond(text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value))
    throw new InvalidArgumentError('write calls a second, a number over 0.');
  return value;
}

/** Reads a whole number within bounds. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least || value > most)
      throw new InvalidArgumentError(`write a whole number from ${least} to ${most}.`);
    return value;
  };
}

/** Reads host:port, an IPv6 address in brackets. */
export function address(text: string): { host: string; port: number } {
  const [, host = '', port = ''] = /^(\[[\da-f:.]+\]|[^:\s]+):(\d{1,5})$/i.exec(text) ?? [];
  if (host === '' || Number(port) < 1 || Number(port) > 65_535)
    throw new InvalidArgumentError('write host:port, as 192.0.2.10:5060.');
  return { host, port: Number(port) };
}

/** Reads a number of E.164. */
export function number(text: string): string {
  if (!/^\+[1-9]\d{6,14}$/.test(text))
    throw new InvalidArgumentError('write + and 7 to 15 digits, as +14155550100.');
  return text;
}
