import { toHex } from '../../lib/bytes.ts'
import type { NativeFunction, NativeLibrary } from '../../lib/native.ts'
import {
  BLOCK_BYTES,
  type CompressBlocks,
  DIGEST_BYTES,
  finishState,
  initialWords,
  newSha256State,
} from './sha256-blocks.ts'
import type { LaneKernel } from './sha256-lanes.ts'

export interface NativeSha256 {
  readonly compress: CompressBlocks
  /** A kernel of 2, 4 or 8 lanes; absent on processors OpenSSL has no multi-block code for. */
  readonly lanes: ((lanes: number) => LaneKernel) | undefined
}

/** undefined: not looked for yet in this thread; null: missing or failed the self-test. */
let found: NativeSha256 | null | undefined

/** The block functions of the OpenSSL inside Node; undefined when they are missing or fail their self-test. */
export function nativeSha256(library: NativeLibrary): NativeSha256 | undefined {
  if (found === undefined) found = find(library) ?? null
  return found ?? undefined
}

function find(library: NativeLibrary): NativeSha256 | undefined {
  const compress = library.func('sha256_block_data_order', 'void', ['void*', 'void*', 'size_t'])
  if (!compress || !digestsCorrectly(compress)) return undefined
  const multiBlock = library.func('sha256_multi_block', 'void', ['void*', 'void*', 'int'])
  const lanes = multiBlock && ((count: number): LaneKernel => nativeLanes(library, multiBlock, count))
  return { compress, lanes: lanes && lanesAgree(lanes, compress) ? lanes : undefined }
}

/** The example "abc" of FIPS 180-4. */
function digestsCorrectly(compress: CompressBlocks): boolean {
  const state = newSha256State()
  const digest = new Uint8Array(DIGEST_BYTES)
  state.block.set([0x61, 0x62, 0x63])
  state.totalBytes = 3
  finishState(state, compress, digest)
  return toHex(digest) === 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
}

/** Lanes over different bytes end in the states that compressing alone ends in, also when some lanes are not used. */
function lanesAgree(lanes: (count: number) => LaneKernel, compress: CompressBlocks): boolean {
  const blocks = 5
  const bytes = new Uint8Array((blocks + 1) * BLOCK_BYTES).map((_, i) => i * 7)
  return [2, 3, 4, 7, 8].every((active) => {
    const kernel = lanes(active <= 2 ? 2 : active <= 4 ? 4 : 8)
    const lane = Array.from({ length: active }, (_, l) => l)
    for (const l of lane) {
      initialWords.forEach((word, h) => {
        kernel.words[h * kernel.stride + l] = word
      })
      kernel.point(l, bytes, 5 * l)
    }
    kernel.run(active, 2)
    kernel.run(active, blocks - 2)
    return lane.every((l) => {
      const words = initialWords.slice()
      compress(words, bytes.subarray(5 * l), blocks)
      return words.every((word, h) => word === kernel.words[h * kernel.stride + l])
    })
  })
}

/** OpenSSL's function has rows of eight state words and takes lanes in groups of four. */
const ROW_LANES = 8
const GROUP_LANES = 4
/** A descriptor is a pointer, a 32-bit count of blocks, and padding. */
const DESCRIPTOR_WORDS = 4

function nativeLanes(library: NativeLibrary, multiBlock: NativeFunction, lanes: number): LaneKernel {
  const words = new Uint32Array(8 * ROW_LANES)
  const descriptors = new Uint32Array(ROW_LANES * DESCRIPTOR_WORDS)
  const addresses = new Float64Array(ROW_LANES)
  return {
    lanes,
    words,
    stride: ROW_LANES,
    point(lane, source, at) {
      addresses[lane] = library.addressOf(source) + at
    },
    run(active, blocks) {
      const groups = active > GROUP_LANES ? 2 : 1
      for (let lane = 0; lane < groups * GROUP_LANES; lane++) {
        const at = lane * DESCRIPTOR_WORDS
        // With SHA instructions lanes go in pairs and the first idle pair ends the call, so idle lanes must come last.
        if (lane >= active) {
          descriptors[at + 2] = 0
          continue
        }
        const address = addresses[lane]!
        descriptors[at] = address
        descriptors[at + 1] = address / 0x100000000
        descriptors[at + 2] = blocks
        addresses[lane] = address + blocks * BLOCK_BYTES
      }
      multiBlock(words, descriptors, groups)
    },
  }
}
