import { HoldfastError } from '../../../lib/errors.ts'
import { type ByteString, byteStringToText, isPlainName, type Node } from '../../repository/tree/node.ts'

/** One thing to put into an archive. */
export interface DumpEntry {
  /** Where it lies in the archive: names joined by `/`, neither at the front nor at the end. */
  readonly path: ByteString
  /** Its attributes; of its own name only `path` counts. */
  readonly node: Node
  /** The bytes of a file, read once; nothing else has any. The chunks must stay as they are after they have been handed over. */
  readonly content?: AsyncIterable<Uint8Array> | Iterable<Uint8Array> | undefined
}

/** What the writers of archives take. */
export interface DumpOptions {
  /** In the order they shall have in the archive, directories before what is in them. */
  readonly entries: AsyncIterable<DumpEntry>
  /** Takes the next bytes of the archive; done with them when the promise resolves. */
  write(bytes: Uint8Array): Promise<void>
  /** Told what is left out because the format has no place for it. */
  warn(message: string): void
}

/**
 * Refuses what would land elsewhere than it seems when the archive is unpacked: names come from the repository, which may not be ours.
 *
 * @throws HF_TREE_INVALID
 */
export function checkEntry({ path, node }: DumpEntry): void {
  if (!path.split('/').every(isPlainName)) throw invalidEntry(path, 'is not a path that can be in an archive')
  if (node.linkTarget.includes('\0')) throw invalidEntry(path, 'is a link to a path with a zero byte')
}

/** The content of an entry, which must have the size that its node says. */
export async function* entryContent({ path, node, content = [] }: DumpEntry): AsyncGenerator<Uint8Array, void> {
  let sizeBytes = 0
  for await (const chunk of content) {
    sizeBytes += chunk.length
    if (sizeBytes > node.size) break
    yield chunk
  }
  if (BigInt(sizeBytes) === BigInt(node.size)) return
  const shown = byteStringToText(path)
  const amount = sizeBytes > node.size ? 'more' : `only ${sizeBytes}`
  throw new HoldfastError('HF_DATA_DAMAGED', `${shown} should have ${node.size} bytes, but has ${amount}`, {
    context: { path: shown, size: node.size },
    hint: 'check the repository; the archive ends here and is not complete',
  })
}

const invalidEntry = (path: ByteString, what: string): HoldfastError =>
  new HoldfastError('HF_TREE_INVALID', `${JSON.stringify(byteStringToText(path))} ${what}`, {
    context: { path: byteStringToText(path) },
  })
