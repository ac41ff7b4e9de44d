/**
 * What the driver alone takes to read or write the same documents, as a process of its own so that it is measured as Holdfast is:
 * `read URL DATABASE WORKERS` reads all collections and throws the bytes away; `insert URL DATABASE WORKERS FILE...` inserts files of
 * BSON into collections of their names, 1000 documents in a message.
 */
import { createReadStream } from 'node:fs'
import { createRequire } from 'node:module'
import { basename } from 'node:path'
import { type Db, MongoClient } from 'mongodb'
import { forEachParallel } from '../../src/lib/parallel.ts'
import { documentRuns } from '../../src/sources/mongodb/bson/stream.ts'
import { readCursor } from '../../src/sources/mongodb/cursor.ts'

const BATCH_DOCUMENTS = 1000
const PIECE_BYTES = 4 * 1024 * 1024

/** The driver's way for bytes; see src/sources/mongodb/restore/raw-insert.ts. */
const { DocumentSequence } = createRequire(import.meta.url)('mongodb/lib/cmap/commands.js') as {
  DocumentSequence: new (field: string) => { push(shown: object, bytes: Buffer): number }
}

const [work, url, database, workers, ...files] = process.argv.slice(2) as [string, string, string, string, ...string[]]
const client = await new MongoClient(url).connect()
const db = client.db(database)
if (work === 'read') {
  const names = (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name)
  await forEachParallel(names, Number(workers), (name) => read(db, name))
} else await forEachParallel(files, Number(workers), (file) => insert(db, file))
await client.close()

/** Whole replies as they come: quicker than the driver's cursor, which makes an object of each document. */
async function read(db: Db, name: string): Promise<void> {
  const ask = async (command: object): Promise<Buffer> =>
    (await db.command({ ...command, batchSize: BATCH_DOCUMENTS }, { raw: true })).cursor
  for (let reply = await ask({ find: name }); ; ) {
    const { id } = readCursor(reply)
    if (id === 0n) return
    reply = await ask({ getMore: id, collection: name })
  }
}

async function insert(db: Db, file: string): Promise<void> {
  const collection = basename(file, '.bson')
  const send = async (bytes: Buffer): Promise<void> => {
    const documents = new DocumentSequence('documents')
    documents.push({}, bytes)
    await db.command({ insert: collection, documents, ordered: false })
  }
  for await (const { bytes } of documentRuns(createReadStream(file, { highWaterMark: PIECE_BYTES }), file)) {
    let start = 0
    let count = 0
    for (let at = 0; at < bytes.length; count++) {
      if (count === BATCH_DOCUMENTS) {
        await send(bytes.subarray(start, at))
        start = at
        count = 0
      }
      at += bytes.readInt32LE(at)
    }
    await send(bytes.subarray(start))
  }
}
