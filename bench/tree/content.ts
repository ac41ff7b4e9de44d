import { type BinaryKind, fillBinary } from './binary.ts'
import { createRandom } from './random.ts'
import { fillText, TEXT_SLACK_BYTES, type TextKind } from './text.ts'

/** What a file holds. `image` is a disk image: stretches of all the others, and some zeros. */
export type ContentKind = TextKind | BinaryKind | 'image'

const PIECE_BYTES = 8 * 1024 * 1024
const STRETCH_BYTES = 1024 * 1024

/** One stretch of a disk image in twenty holds zeros; the rest is what disks hold. */
const stretchKinds: readonly (ContentKind | 'zeros')[] = [
  ...Array<ContentKind>(6).fill('compressed'),
  ...Array<ContentKind>(5).fill('machine'),
  ...Array<ContentKind>(5).fill('database'),
  'log',
  'sql',
  'html',
  'zeros',
]

/**
 * The bytes of a file in order, in pieces of at most 8 MiB. A piece is a view that the next call overwrites. The same kind, size and seed
 * give the same bytes.
 */
export function* contentPieces(kind: ContentKind, sizeBytes: number, seed: number): Generator<Uint8Array> {
  for (let at = 0, piece = 0; at < sizeBytes; at += PIECE_BYTES, piece++) {
    const length = Math.min(PIECE_BYTES, sizeBytes - at)
    fill(kind, scratch(), length, seed + piece * 7919)
    yield scratch().subarray(0, length)
  }
}

let memory: Uint8Array | undefined

function scratch(): Uint8Array {
  memory ??= new Uint8Array(PIECE_BYTES + TEXT_SLACK_BYTES)
  return memory
}

function fill(kind: ContentKind, out: Uint8Array, length: number, seed: number): void {
  if (kind === 'image') fillImage(out, length, seed)
  else if (kind === 'machine' || kind === 'database' || kind === 'compressed') fillBinary(kind, out, length, seed)
  else fillText(kind, out, length, seed)
}

function fillImage(out: Uint8Array, length: number, seed: number): void {
  const random = createRandom(seed, 3)
  for (let at = 0; at < length; at += STRETCH_BYTES) {
    const stretch = Math.min(STRETCH_BYTES, length - at)
    const kind = stretchKinds[random.below(stretchKinds.length)]!
    if (kind === 'zeros') out.fill(0, at, at + stretch)
    else fill(kind, out.subarray(at), stretch, random.next())
  }
}
