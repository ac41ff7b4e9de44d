/** How a cluster spreads keys (cluster spec: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/). */
export const SLOTS = 16_384

const OPEN = 0x7b
const CLOSE = 0x7d

/** CRC-16 as XMODEM has it. */
const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ ((crc & 0x8000) === 0 ? 0 : 0x1021)
  return crc
})

/** The slot of a key: of what stands between its first braces, if that is anything. */
export function slotOf(key: Uint8Array): number {
  const open = key.indexOf(OPEN)
  const close = open < 0 ? -1 : key.indexOf(CLOSE, open + 1)
  const hashed = close > open + 1 ? key.subarray(open + 1, close) : key
  let crc = 0
  for (const byte of hashed) crc = ((crc << 8) & 0xffff) ^ table[(crc >> 8) ^ byte]!
  return crc % SLOTS
}

/** First and last slot. */
export type SlotRange = readonly [first: number, last: number]

/** `0-5460`, `7`; undefined for what is no range. */
export function parseRange(text: string): SlotRange | undefined {
  const found = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
  const first = Number(found?.[1])
  const last = Number(found?.[2] ?? found?.[1])
  return found !== null && first <= last && last < SLOTS ? [first, last] : undefined
}
