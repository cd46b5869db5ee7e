/** Datagrams that the kernel has dropped at each local UDP port, as nobody read them, of the text of /proc/net/udp. */
export function dropsByPort(text: string): Map<number, number> {
  const drops = new Map<number, number>();
  for (const line of text.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    const port = Number.parseInt(fields[1]?.split(':')[1] ?? '', 16);
    const dropped = Number(fields.at(-1));
    if (dropped > 0) drops.set(port, (drops.get(port) ?? 0) + dropped);
  }
  return drops;
}
