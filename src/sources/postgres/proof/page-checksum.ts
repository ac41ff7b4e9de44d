import { endianness } from 'node:os'

/**
 * The checksum of data pages (PostgreSQL, `src/include/storage/checksum_impl.h`): 32 interleaved FNV-1a hashes with a shift, folded into 16
 * bits with the number of the block.
 */
const LANES = 32
const PRIME = 16_777_619

// biome-ignore format: a table of the format
const offsets = Int32Array.of(
  0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c,
  0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb,
  0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4,
  0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756,
)

const lanes = new Int32Array(LANES)
/** The word that holds the checksum itself in its lower half, which counts as zero. */
const CHECKSUM_WORD = 2
const UPPER_HALF = 0xffff_0000
/** The word whose upper half says where free space ends (`pd_upper`); zero only in a page that was never used. */
const UPPER_WORD = 3

/**
 * Whether a page is as it was written: its checksum is right, or it was never used and is all zeros. Little-endian machines only.
 *
 * @param words of whole pages
 * @param first where the page begins in `words`
 * @param count words of a page
 * @param block number of the page in its relation, counted over all segments
 */
export function isPageSound(words: Int32Array, first: number, count: number, block: number): boolean {
  if (words[first + UPPER_WORD]! >>> 16 === 0) {
    for (let i = first; i < first + count; i++) if (words[i] !== 0) return false
    return true
  }
  return pageChecksum(words, first, count, block) === (words[first + CHECKSUM_WORD]! & 0xffff)
}

function pageChecksum(words: Int32Array, first: number, count: number, block: number): number {
  lanes.set(offsets)
  for (let i = 0; i < count; i += LANES)
    for (let lane = 0; lane < LANES; lane++) {
      const word = words[first + i + lane]!
      const mixed = lanes[lane]! ^ (i + lane === CHECKSUM_WORD ? word & UPPER_HALF : word)
      lanes[lane] = Math.imul(mixed, PRIME) ^ (mixed >>> 17)
    }
  let folded = 0
  for (let lane = 0; lane < LANES; lane++) {
    let mixed = lanes[lane]!
    mixed = Math.imul(mixed, PRIME) ^ (mixed >>> 17)
    folded ^= Math.imul(mixed, PRIME) ^ (mixed >>> 17)
  }
  return (((folded ^ block) >>> 0) % 65_535) + 1
}

/** Whether pages can be checked here: they are written in the byte order of their machine, and we read little-endian ones. */
export const canCheckPages = (): boolean => endianness() === 'LE'
