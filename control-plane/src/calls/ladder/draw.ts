import type { Leg } from '../call.js';

/** One SIP message between the proxy and a side. */
export interface LadderMessage {
  /** ms since 1970 */
  at: number;
  /** Whether that time is only about right: nothing tells it. */
  about?: boolean;
  side: Leg;
  /** Seen from the side: `out` is towards the proxy. */
  direction: 'in' | 'out';
  /** What it is, e.g. `INVITE` or `200 (INVITE)`. */
  text: string;
  isResponse: boolean;
}

/** Something about the call that is no message. */
export interface LadderNote {
  /** ms since 1970 */
  at: number;
  note: string;
}

export type LadderStep = LadderMessage | LadderNote;

/** Columns between two lines of the ladder: with this one it is 80 wide. */
export const NARROW = 30;

/**
 * Draws messages as a ladder of text, the carrier left, the proxy in the middle, Retell right, in order of time. Times
 * are seconds since the first, with `~` where they are only about right.
 *
 * @param gap columns between two lines
 */
export function drawLadder(steps: readonly LadderStep[], gap = NARROW): string[] {
  return [
    `${' '.repeat(10)}carrier${' '.repeat(gap - 5)}proxy${' '.repeat(gap - 4)}Retell`,
    ...timed(steps).map(({ step, seconds }) => {
      const head = `${seconds.padStart(9)} s  `;
      if ('note' in step) return `${head}|  ${plain(step.note)}`;
      const line = arrow(plain(step.text), isToRight(step), gap);
      const blank = ' '.repeat(gap);
      const [left, right] = step.side === 'carrier' ? [line, blank] : [blank, line];
      return `${head}|${left}|${right}|`;
    }),
  ];
}

/** Draws them as a Mermaid sequence diagram (https://mermaid.js.org/syntax/sequenceDiagram.html). */
export function drawMermaid(steps: readonly LadderStep[]): string[] {
  return [
    'sequenceDiagram',
    '    participant carrier as carrier',
    '    participant proxy as proxy',
    '    participant retell as Retell',
    ...timed(steps).map(({ step, seconds }) => {
      if ('note' in step) return `    Note over carrier,retell: ${seconds} s ${escaped(step.note)}`;
      const [from, to] = step.direction === 'out' ? [step.side, 'proxy'] : ['proxy', step.side];
      return `    ${from}${step.isResponse ? '-->>' : '->>'}${to}: ${seconds} s ${escaped(step.text)}`;
    }),
  ];
}

function timed(steps: readonly LadderStep[]): { step: LadderStep; seconds: string }[] {
  const sorted = [...steps].sort((a, b) => a.at - b.at);
  const start = sorted[0]?.at ?? 0;
  return sorted.map((step) => {
    const isAbout = 'about' in step && step.about === true;
    return { step, seconds: `${isAbout ? '~' : ''}${((step.at - start) / 1000).toFixed(3)}` };
  });
}

function isToRight({ side, direction }: LadderMessage): boolean {
  return (direction === 'out') === (side === 'carrier');
}

function arrow(text: string, toRight: boolean, gap: number): string {
  const name = [...text].slice(0, gap - 5).join('');
  const dashes = '-'.repeat(gap - 3 - [...name].length);
  return toRight ? `-${name} ${dashes}>` : `<${dashes} ${name}-`;
}

/** Text of strangers without what a terminal would obey, or what turns its direction. */
function plain(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ');
}

/** The same as Mermaid shows it: all that it may take for its own, or a browser for HTML, by its code point. */
function escaped(text: string): string {
  return plain(text).replace(/[^\p{L}\p{N} .,:@+()/_'~-]/gu, (character) => `#${character.codePointAt(0)};`);
}
