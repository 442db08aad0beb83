/** `host:port` as people write it; IPv6 addresses in brackets. */

/** Where a broker listens. */
export interface Address {
  /** A host name or an IP address, without brackets. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

const NAME =
  /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i;

/** Undefined when `text` is no address. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, ipv6, name, portText] = match;
  const port = Number(portText);
  if (port < 1 || port > 65_535) return undefined;
  if (ipv6 !== undefined) {
    return isIpv6(ipv6) ? { host: ipv6.toLowerCase(), port } : undefined;
  }
  return name.length <= 253 && NAME.test(name)
    ? { host: name.toLowerCase(), port }
    : undefined;
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The URL parser knows the grammar of IPv6. */
function isIpv6(text: string): boolean {
  return /^[0-9a-f:.]+$/i.test(text) && URL.canParse(`http://[${text}]/`);
}
