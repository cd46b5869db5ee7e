/** One way to take calls. */
export interface Played {
  /** Of calls to this number. */
  number: string;
  /** The text of its scenario, as those of sipp-scenarios/called/ are laid out. */
  xml: string;
  /** How long its pauses without a length are, in ms. */
  holdMs: number;
}

const FIRST =
  /<recv request="OPTIONS"[^>]*\/>\s*<recv request="INVITE"(?:[^>]*\/>|[^>]*[^/]>([\s\S]*?)<\/recv>)/;
const PROBED = '<label id="probed"/>';

/**
 * One scenario of several: what it plays follows from the number that is called, because a proxy shares calls among
 * its gateways by weight alone.
 *
 * @throws Error where a scenario is laid out in another way: OPTIONS and INVITE come first, what is done about OPTIONS
 *   comes last behind the label `probed`
 */
export function calledByNumber(played: readonly Played[]): string {
  const bodies = played.map(bodyOf);
  const last = played[0]?.xml ?? '';
  const actions = played.map(
    ({ number }, i) =>
      `<ereg regexp="${number.replace('+', '')}" search_in="hdr" header="To:" assign_to="is_${i}"/>`,
  );
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<scenario name="takes calls by their number">',
    '<recv request="OPTIONS" optional="true" next="probed"/>',
    '<recv request="INVITE" rrs="true"><action>',
    ...actions,
    // Variables keep their names: a call plays one of them.
    ...new Set(bodies.map(({ action }) => action)),
    '</action></recv>',
    ...played.map((_, i) => `<nop test="is_${i}" next="play_${i}"/>`),
    ...bodies.map(({ body }, i) => `<label id="play_${i}"/>\n${body}\n<nop next="over"/>`),
    last.slice(last.indexOf(PROBED)),
  ].join('\n');
}

/** What comes behind the INVITE, with labels of its own, and what is read from the INVITE. */
function bodyOf({ xml, holdMs }: Played, index: number): { action: string; body: string } {
  const first = FIRST.exec(xml);
  const end = xml.indexOf(PROBED);
  if (first === null || end < 0) throw new Error('a scenario of the called side is laid out in another way');
  const body = xml
    .slice(first.index + first[0].length, end)
    .replaceAll('<pause/>', `<pause milliseconds="${Math.round(holdMs)}"/>`)
    .replace(/\b(next|ontimeout|label id)="(?!over")(\w+)"/g, `$1="$2_${index}"`);
  const action = (first[1] ?? '').replace(/<\/?action>|<!--[\s\S]*?-->/g, '').trim();
  return { action, body };
}
