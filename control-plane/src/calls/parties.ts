/** Carriers write numbers with and without +: the digits decide, and where there are none, the text. */
export function isSameParty(one: string, other: string): boolean {
  const [a, b] = [one, other].map((text) => text.replace(/\D/g, ''));
  return a === '' && b === '' ? one.toLowerCase() === other.toLowerCase() : a === b;
}
