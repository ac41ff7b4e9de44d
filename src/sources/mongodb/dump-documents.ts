import { forEachParallel } from '../../lib/parallel.ts'
import { digestOfParts } from './dump-digest.ts'
import type { DumpWriter, WrittenPart } from './dump-writer.ts'
import type { DumpedData } from './manifest.ts'
import { type CollectionReading, readCollection } from './read-collection.ts'
import type { IdRange } from './resume-filter.ts'
import { idText } from './split.ts'
import type { Turns } from './turns.ts'

export interface DocumentsDump {
  readonly writer: DumpWriter
  /** Below the dump. */
  readonly file: string
  readonly reading: CollectionReading
  /** Stretches of the order of `_id` that are everything, one behind the other. */
  readonly ranges: readonly IdRange[]
  /** For one cursor each. */
  readonly turns: Turns
  /** Ends all other reading: without one part, the rest is of no use. */
  readonly onFailure: (error: unknown) => void
}

/** Reads the documents of a collection into a file of the dump. @throws HoldfastError as readCollection, and storage errors */
export async function dumpDocuments({
  writer,
  file,
  reading,
  ranges,
  turns,
  onFailure,
}: DocumentsDump): Promise<DumpedData> {
  let documents = 0
  const bytesOf = async function* (range?: IdRange): AsyncGenerator<Uint8Array> {
    for await (const { bytes, count } of readCollection({ ...reading, range })) {
      documents += count
      yield bytes
    }
  }
  const { order } = reading
  if (ranges.length === 1) {
    const written = await turns.take(() => writer.documents(file, bytesOf()))
    return { file, documents, order, ...written }
  }
  const parts: WrittenPart[] = []
  await forEachParallel(ranges.entries(), ranges.length, async ([i, range]) => {
    try {
      parts[i] = await turns.take(() => writer.part(bytesOf(range)))
    } catch (error) {
      onFailure(error)
      throw error
    }
  })
  await writer.joined(file, parts)
  return {
    file,
    documents,
    order,
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    sha256: digestOfParts(parts.map(({ digest }) => digest)),
    parts: parts.map(({ bytes }, i) => {
      const { upTo } = ranges[i]!
      return { bytes, upTo: upTo && idText(upTo) }
    }),
  }
}
