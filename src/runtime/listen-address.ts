import { isIP } from 'node:net';

export interface ListenAddress {
  /** Absent: every address of the host. */
  readonly host?: string;
  readonly port: number;
}

/**
 * Reads `:8080`, `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`; `0` means that nothing listens.
 * Gives undefined for a text that is none of these.
 */
export function parseListenAddress(text: string): ListenAddress | 'disabled' | undefined {
  if (text === '0') return 'disabled';
  const match = /^(?:\[(?<six>[^\]]*)\]|(?<host>[^:[\]]*)):(?<port>\d{1,5})$/.exec(text);
  const { six, host, port: digits } = match?.groups ?? {};
  const port = Number(digits);
  if (digits === undefined || port > 65_535) return undefined;
  if (six !== undefined) return isIP(six) === 6 ? { host: six, port } : undefined;
  if (host === undefined || host === '') return { port };
  const isName = /^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/.test(host);
  const looksLikeIP = /^[\d.]+$/.test(host);
  return (looksLikeIP ? isIP(host) === 4 : isName) ? { host, port } : undefined;
}
