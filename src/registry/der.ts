/**
 * Writes DER (ITU-T X.690), as much of it as a certificate of our own needs. Nothing here reads any: what comes from elsewhere is
 * parsed by Node's own X509Certificate.
 */
export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return value(0x30, Buffer.concat(parts));
}

export function set(...parts: readonly Uint8Array[]): Buffer {
  return value(0x31, Buffer.concat(parts));
}

/** A number that is not negative, big-endian. */
export function integer(bytes: Uint8Array): Buffer {
  const from = bytes.findIndex((byte) => byte !== 0);
  const digits = from < 0 ? Buffer.from([0]) : Buffer.from(bytes.subarray(from));
  // A first bit that is set would make it negative.
  const sign = (digits[0] ?? 0) >= 0x80 ? Buffer.from([0]) : Buffer.alloc(0);
  return value(0x02, Buffer.concat([sign, digits]));
}

export function boolean(yes: boolean): Buffer {
  return value(0x01, Buffer.from([yes ? 0xff : 0]));
}

export function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...others] = dotted.split('.').map(Number);
  return value(0x06, Buffer.concat([first * 40 + second, ...others].map(base128)));
}

function base128(number: number): Buffer {
  const digits = [number & 0x7f];
  for (let rest = number >>> 7; rest > 0; rest >>>= 7) digits.unshift((rest & 0x7f) | 0x80);
  return Buffer.from(digits);
}

export function utf8(text: string): Buffer {
  return value(0x0c, Buffer.from(text));
}

export function octets(bytes: Uint8Array): Buffer {
  return value(0x04, bytes);
}

/** @param unusedBits of the last byte */
export function bits(bytes: Uint8Array, unusedBits = 0): Buffer {
  return value(0x03, Buffer.concat([Buffer.from([unusedBits]), bytes]));
}

/** Years up to 2049 are UTCTime, later ones GeneralizedTime (RFC 5280, 4.1.2.5). */
export function time(epochMs: number): Buffer {
  const digits = new Date(epochMs).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return Number(digits.slice(0, 4)) < 2050
    ? value(0x17, Buffer.from(digits.slice(2)))
    : value(0x18, Buffer.from(digits));
}

/** `[number]`, of a whole value. */
export function explicit(number: number, inner: Uint8Array): Buffer {
  return value(0xa0 | number, inner);
}

/** `[number]` in the place of a plain value's own tag. */
export function implicit(number: number, bytes: Uint8Array): Buffer {
  return value(0x80 | number, bytes);
}

function value(tag: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([tag]), length(content.length), content]);
}

function length(count: number): Buffer {
  if (count < 0x80) return Buffer.from([count]);
  const digits: number[] = [];
  for (let rest = count; rest > 0; rest >>>= 8) digits.unshift(rest & 0xff);
  return Buffer.from([0x80 | digits.length, ...digits]);
}
