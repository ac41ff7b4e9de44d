import { createRequire } from 'node:module'
import type { MongoClientOptions } from 'mongodb'
import { ReplyAssembler } from './reply-assembler.ts'
import type { ReplyMemory } from './reply-memory.ts'

/** A connection of the driver, as far as it is of interest here: what stands between its socket and its messages. */
interface DriverConnection {
  readonly messageStream: { bufferPool?: unknown }
}

type DriverConnectionClass = new (...options: never[]) => DriverConnection

const { Connection } = createRequire(import.meta.url)('mongodb/lib/cmap/connection.js') as {
  Connection: DriverConnectionClass
}

/**
 * Has the connections of a client put replies into this memory. The driver takes the class of its connections as an option, but does not
 * offer what it is made of: its version is pinned, and a test looks whether memory is used again.
 */
export function repliesInto(memory: ReplyMemory): MongoClientOptions {
  const connectionType = class extends Connection {
    constructor(...options: never[]) {
      super(...options)
      if (this.messageStream.bufferPool !== undefined) this.messageStream.bufferPool = new ReplyAssembler(memory)
    }
  }
  return { connectionType } as MongoClientOptions
}
