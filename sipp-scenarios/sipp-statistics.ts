/** What SIPp had counted at one moment, since its start. */
export interface SippCounts {
  /** ms since 1970 */
  atMs: number;
  created: number;
  /** Calls that went as the scenario says. */
  successful: number;
  failed: number;
  /** Failed calls by SIPp's reason, those that occurred. */
  reasons: Record<string, number>;
  retransmissions: number;
}

/** Columns of failed calls in SIPp's statistics, with what they mean. */
const REASONS: Readonly<Record<string, string>> = {
  FailedCannotSendMessage: 'a message could not be sent',
  FailedMaxUDPRetrans: 'no answer to any retransmission',
  FailedTcpConnect: 'TCP connection refused',
  FailedTcpClosed: 'TCP connection closed',
  FailedUnexpectedMessage: 'a message that the scenario does not expect',
  FailedCallRejected: 'rejected',
  FailedCmdNotSent: 'a command could not be sent',
  FailedRegexpDoesntMatch: 'a pattern that does not match',
  FailedRegexpShouldntMatch: 'a pattern that should not match',
  FailedRegexpHdrNotFound: 'a header that is missing',
  FailedOutboundCongestion: 'congestion',
  FailedTimeoutOnRecv: 'a message that did not come in time',
  FailedTimeoutOnSend: 'a message that could not be sent in time',
  FailedTestDoesntMatch: 'a test that fails',
  FailedTestShouldntMatch: 'a test that should fail',
  FailedStrcmpDoesntMatch: 'a text that is another',
  FailedStrcmpShouldntMatch: 'a text that should be another',
};

/** What failed calls are put under that SIPp gives no reason for. */
const NO_REASON = 'unknown';

/** Reads the lines of the file that SIPp writes with -trace_stat, the line of names first. */
export class SippStatistics {
  #columns: ReadonlyMap<string, number> | undefined;

  /** @returns undefined for the line of names */
  read(line: string): SippCounts | undefined {
    const cells = line.split(';');
    if (this.#columns === undefined) {
      this.#columns = new Map(cells.map((name, i) => [name, i]));
      return undefined;
    }
    const columns = this.#columns;
    const cell = (name: string) => cells[columns.get(name) ?? -1] ?? '';
    const failed = Number(cell('FailedCall(C)'));
    const reasons = Object.entries(REASONS).flatMap(([name, reason]): [string, number][] => {
      const count = Number(cell(`${name}(C)`));
      return count > 0 ? [[reason, count]] : [];
    });
    const explained = reasons.reduce((sum, [, count]) => sum + count, 0);
    if (failed > explained) reasons.push([NO_REASON, failed - explained]);
    return {
      // Date, time and seconds since 1970 with microseconds stand in one cell.
      atMs: Number(cell('CurrentTime').split('\t').at(-1)) * 1000,
      created: Number(cell('TotalCallCreated')),
      successful: Number(cell('SuccessfulCall(C)')),
      failed,
      reasons: Object.fromEntries(reasons),
      retransmissions: Number(cell('Retransmissions(C)')),
    };
  }
}

const NOTHING = { created: 0, successful: 0, failed: 0, retransmissions: 0 };

/** The counts of several SIPps together. */
export function sumCounts(counts: readonly SippCounts[]): SippCounts {
  const sum: SippCounts = { atMs: 0, ...NOTHING, reasons: {} };
  for (const each of counts) {
    sum.atMs = Math.max(sum.atMs, each.atMs);
    for (const name of Object.keys(NOTHING) as (keyof typeof NOTHING)[]) sum[name] += each[name];
    for (const [reason, count] of Object.entries(each.reasons)) {
      sum.reasons[reason] = (sum.reasons[reason] ?? 0) + count;
    }
  }
  return sum;
}

/**
 * The counts at a moment, between two rows in proportion: each SIPp writes its rows at moments of its own.
 *
 * @param rows in the order of time
 */
export function countsAt(rows: readonly SippCounts[], atMs: number): SippCounts {
  const next = rows.findIndex((row) => row.atMs > atMs);
  const after = rows[next];
  const before = next < 0 ? rows.at(-1) : rows[next - 1];
  if (before === undefined) return { atMs, ...NOTHING, reasons: {} };
  if (after === undefined) return before;
  const share = (atMs - before.atMs) / (after.atMs - before.atMs);
  const counts = { atMs, ...NOTHING, reasons: before.reasons };
  for (const name of Object.keys(NOTHING) as (keyof typeof NOTHING)[]) {
    counts[name] = before[name] + share * (after[name] - before[name]);
  }
  return counts;
}
