/**
 * Tells public IP addresses from those that mean something only inside one machine or network. A server that
 * sends us to one of the latter can make us talk to what it cannot reach itself (SSRF).
 */

export type AddressScope = "public" | "private" | "loopback";

/** IPv4 blocks that are not public: IANA's special-purpose registry. */
const PRIVATE_IPV4: readonly (readonly [base: string, bits: number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];

/**
 * Classifies an IP address, or a URL's hostname where it is one; names of the `localhost` family count as
 * loopback, and any other name gives undefined.
 *
 * @param host as in `URL.hostname` (which spells `0x7f.1` as `127.0.0.1`), brackets allowed
 */
export function addressScope(host: string): AddressScope | undefined {
  const text = host
    .replace(/^\[|\]$/g, "")
    .replace(/%.*$/, "")
    .replace(/\.$/, "")
    .toLowerCase();
  if (text === "localhost" || text.endsWith(".localhost")) return "loopback";
  const four = parseIpv4(text);
  if (four !== undefined) return ipv4Scope(four);
  const six = text.includes(":") ? parseIpv6(text) : undefined;
  return six === undefined ? undefined : ipv6Scope(six);
}

function parseIpv4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let address = 0;
  for (const part of match.slice(1)) {
    if (Number(part) > 255) return undefined;
    address = address * 256 + Number(part);
  }
  return address;
}

function ipv4Scope(address: number): AddressScope {
  if (Math.floor(address / 2 ** 24) === 127) return "loopback";
  const inBlock = PRIVATE_IPV4.some(([base, bits]) => {
    const size = 2 ** (32 - bits);
    return Math.floor(address / size) === Math.floor(parseIpv4(base)! / size);
  });
  return inBlock ? "private" : "public";
}

/** Reads an IPv6 address into its eight groups. */
function parseIpv6(text: string): number[] | undefined {
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  let groupsText = text;
  if (tail !== null) {
    const four = parseIpv4(tail[2]!);
    if (four === undefined) return undefined;
    groupsText = `${tail[1]}${Math.floor(four / 65536).toString(16)}:${(four % 65536).toString(16)}`;
  }
  const halves = groupsText.split("::");
  if (halves.length > 2) return undefined;
  const [head, rest] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const missing = 8 - head!.length - (rest?.length ?? 0);
  if (rest === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head!, ...Array.from({ length: missing }, () => "0"), ...(rest ?? [])];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/.test(group))) return undefined;
  return groups.map((group) => Number.parseInt(group, 16));
}

function ipv6Scope(groups: readonly number[]): AddressScope {
  const [a = 0, b = 0, c = 0] = groups;
  const embedded = (index: number): AddressScope => ipv4Scope(groups[index]! * 65536 + groups[index + 1]!);
  const zeros = groups.slice(0, 5).every((group) => group === 0);
  if (zeros && groups[5] === 0xffff) return embedded(6); // IPv4-mapped
  if (zeros && groups[5] === 0) {
    if (groups[6] === 0 && groups[7] === 1) return "loopback";
    return groups[6] === 0 && groups[7] === 0 ? "private" : embedded(6); // IPv4-compatible
  }
  if (a === 0x64 && b === 0xff9b) return c === 0 ? embedded(6) : "private"; // NAT64
  if (a === 0x2002) return embedded(1); // 6to4
  if (a === 0x2001 && (b === 0xdb8 || b < 0x200)) return "private"; // documentation; Teredo and other protocols
  return a >= 0x2000 && a <= 0x3fff ? "public" : "private"; // only 2000::/3 is routed
}
