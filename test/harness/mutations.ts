import type { Random } from './random.js';

/** What breaks out of a header, a URI or JSON, where it can. */
const POISON = [
  ...[
    '\r\n',
    '\n',
    '\r',
    '\r\n\r\n',
    '\r\nVia: SIP/2.0/UDP evil.example.com',
    '\r\n ',
    '\0',
    '\t',
    ' ',
    '\u2028',
  ],
  ...[
    '!!',
    '%0d%0a',
    '%00',
    '<',
    '>',
    '"',
    '\\',
    '\\r\\n',
    "'",
    ';',
    '?',
    '?Replaces=1',
    ',',
    '@',
    ':',
    '/',
    '#',
    '$',
    '|',
  ],
  ...[
    '$var(x)',
    '$ru',
    '{s.len}',
    ';lr',
    ';maddr=evil.example.com',
    '[::1]',
    '@evil.example.com',
    '()',
    '*',
    '&',
    '=',
  ],
  ...['x'.repeat(300), '9'.repeat(40), 'é', '\ud83d\ude00', '\u0660', '+', '-', '0'],
];

function mutated(random: Random, text: string): string {
  let result = text;
  for (let times = random.below(4); times > 0; times -= 1) {
    const at = random.below(result.length + 1);
    const cut = random.below(3) === 0 ? random.below(4) : 0;
    result = result.slice(0, at) + random.pick(POISON) + result.slice(at + cut);
  }
  return result;
}

/** Every other text with up to three poisons in it. */
export function mutatedSometimes(random: Random, text: string): string {
  return random.below(2) === 0 ? text : mutated(random, text);
}
