import { readFileSync } from 'node:fs'
import { HoldfastError } from '../lib/errors.ts'

/** What Node puts in the place of bytes that are not UTF-8. */
const REPLACEMENT = '\ufffd'

/**
 * The bytes of a command-line argument that is a path. Node hands over text, in which bytes that are not UTF-8 are lost; Linux still has
 * them in /proc/self/cmdline. `commandLine` is the content of that file.
 * @throws HoldfastError HF_USAGE when several arguments differ only in such bytes
 */
export function argumentBytes(
  argument: string,
  commandLine: () => Uint8Array | undefined = ownCommandLine,
): Uint8Array {
  const asText = Buffer.from(argument)
  if (!argument.includes(REPLACEMENT)) return asText
  const found = splitAtZeros(commandLine() ?? new Uint8Array()).filter((bytes) => bytes.toString() === argument)
  const [first = asText] = found
  if (found.some((bytes) => !bytes.equals(first)))
    throw new HoldfastError(
      'HF_USAGE',
      `several arguments read ${JSON.stringify(argument)}: they differ in bytes that are not UTF-8`,
      {
        hint: 'name the paths in a file for --files-from-raw',
      },
    )
  return first
}

function splitAtZeros(bytes: Uint8Array): Buffer[] {
  const parts: Buffer[] = []
  const all = Buffer.from(bytes)
  for (let start = 0; start < all.length; ) {
    const zero = all.indexOf(0, start)
    const end = zero < 0 ? all.length : zero
    parts.push(all.subarray(start, end))
    start = end + 1
  }
  return parts
}

function ownCommandLine(): Uint8Array | undefined {
  try {
    return readFileSync('/proc/self/cmdline')
  } catch {
    return undefined
  }
}
