import { pipeline } from 'node:stream/promises'
import { crc32, createDeflateRaw, deflateRawSync } from 'node:zlib'
import { HoldfastError } from '../../../lib/errors.ts'
import { toStMode } from '../../repository/tree/mode.ts'
import { byteStringToText, type Node } from '../../repository/tree/node.ts'
import { checkEntry, type DumpEntry, type DumpOptions, entryContent } from './dump-entry.ts'
import { createOutput, type Output } from './output.ts'
import {
  dataDescriptor,
  directoryRecord,
  endOfDirectory,
  localHeader,
  ZIP_LARGE_BYTES,
  type ZipFile,
  type ZipSizes,
} from './zip-records.ts'

/** The level restic uses. */
const DEFLATE_LEVEL = 5

/** Files up to this size are compressed in one go, which is quicker and lets the sizes stand in front of them. */
const WHOLE_FILE_BYTES = 256 * 1024

const LONGEST_PATH_BYTES = 0xffff

/**
 * Writes a zip archive: names as bytes (marked as UTF-8 when they are), modes, times in seconds, symbolic links; files deflated. The format
 * has no place for owners, attributes, devices and fifos. Each name of a file with several is an entry with its content.
 *
 * @throws HF_TREE_INVALID for a path no archive may hold; HF_DATA_DAMAGED when content has not the size it should; HF_UNSUPPORTED for a path
 * too long for zip; what `entries` and `write` throw.
 */
export async function writeZip({ entries, write, warn }: DumpOptions): Promise<void> {
  const output = createOutput(write)
  const directory: Uint8Array[] = []
  const addToDirectory = createOutput(async (bytes) => void directory.push(bytes.slice()))
  let count = 0
  for await (const entry of entries) {
    checkEntry(entry)
    const { type } = entry.node
    if (type !== 'file' && type !== 'dir' && type !== 'symlink') {
      warn(`${byteStringToText(entry.path)}: zip has no form for a ${type}, left out`)
      continue
    }
    const file = fileOf(entry)
    const offset = output.position
    const sizes = file.sizesFollow ? await writeStream(output, file, entry) : await writeWhole(output, file, entry)
    await addToDirectory.write(directoryRecord(file, sizes, offset))
    count++
  }
  await addToDirectory.flush()
  const start = output.position
  for (const piece of directory) await output.write(piece)
  await output.write(endOfDirectory(start, output.position - start, count))
  await output.flush()
}

function fileOf({ path, node }: DumpEntry): ZipFile {
  const name = node.type === 'dir' ? `${path}/` : path
  if (name.length > LONGEST_PATH_BYTES)
    throw new HoldfastError('HF_UNSUPPORTED', `a path of ${name.length} bytes is too long for a zip archive`, {
      context: { path: byteStringToText(path) },
      hint: 'write a tar archive',
    })
  return {
    path: name,
    mode: toStMode(node.type, node.mode),
    mtime: node.mtime,
    compression: node.type === 'file' ? 'deflate' : 'store',
    sizesFollow: node.type === 'file' && node.size > WHOLE_FILE_BYTES,
    isLarge: isLarge(node),
  }
}

const isLarge = ({ type, size }: Node): boolean => type === 'file' && size >= ZIP_LARGE_BYTES

async function writeWhole(output: Output, file: ZipFile, entry: DumpEntry): Promise<ZipSizes> {
  const content = await wholeContent(entry)
  const stored = file.compression === 'deflate' ? deflateRawSync(content, { level: DEFLATE_LEVEL }) : content
  const sizes = { crc32: crc32(content), sizeBytes: content.length, compressedBytes: stored.length }
  await output.write(localHeader(file, sizes))
  await output.write(stored)
  return sizes
}

async function wholeContent(entry: DumpEntry): Promise<Uint8Array> {
  if (entry.node.type === 'symlink') return Buffer.from(entry.node.linkTarget, 'latin1')
  if (entry.node.type === 'dir') return new Uint8Array()
  const chunks: Uint8Array[] = []
  for await (const chunk of entryContent(entry)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function writeStream(output: Output, file: ZipFile, entry: DumpEntry): Promise<ZipSizes> {
  await output.write(localHeader(file, undefined))
  const start = output.position
  let checksum = 0
  let sizeBytes = 0
  await pipeline(
    entryContent(entry),
    async function* (content: AsyncIterable<Uint8Array>) {
      for await (const chunk of content) {
        checksum = crc32(chunk, checksum)
        sizeBytes += chunk.length
        yield chunk
      }
    },
    createDeflateRaw({ level: DEFLATE_LEVEL, chunkSize: 64 * 1024 }),
    async (compressed: AsyncIterable<Uint8Array>) => {
      for await (const piece of compressed) await output.write(piece)
    },
  )
  const sizes = { crc32: checksum, sizeBytes, compressedBytes: output.position - start }
  await output.write(dataDescriptor(file, sizes))
  return sizes
}
