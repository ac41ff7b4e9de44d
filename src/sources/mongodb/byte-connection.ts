import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import type { MongoClientOptions } from 'mongodb'
import { ReplyAssembler } from './reply-assembler.ts'
import type { ReplyMemory } from './reply-memory.ts'

/**
 * A part of a message that holds documents as bytes (mongodb/specifications, "OP_MSG", payload type 1). The driver does not offer it, and
 * takes bytes for a value of type binary otherwise.
 */
interface DocumentSequence {
  /** What becomes of it: name and length, then documents. */
  readonly chunks: readonly Buffer[]
  push(shown: object, bytes: Buffer): number
}

/** A command on its way, as far as it is of interest here. */
interface DriverMessage {
  readonly command?: Record<string, unknown>
  toBin(): Buffer[] | Promise<Buffer[]>
}

/** A connection of the driver, likewise. `bufferPool` stands between its socket and its messages. */
interface DriverConnection {
  readonly socket: Socket
  readonly messageStream: { bufferPool?: unknown }
  writeCommand(message: DriverMessage, options: { readonly agreedCompressor: string }): Promise<unknown>
}

const require = createRequire(import.meta.url)
const { Connection } = require('mongodb/lib/cmap/connection.js') as {
  Connection: new (...options: never[]) => DriverConnection
}
const driverCommands = require('mongodb/lib/cmap/commands.js') as {
  DocumentSequence: new (field: string) => DocumentSequence
}

/** The value of a command's field `documents`: documents as bytes, which must stay as they are until the reply comes. */
export function documentSequence(documents: Buffer): object {
  const sequence = new driverCommands.DocumentSequence('documents')
  sequence.push({}, documents)
  return sequence
}

/**
 * Has the connections of a client put replies into this memory, and write documents from where they lie; the driver by itself makes three
 * copies of a message. It takes the class of its connections as an option, but does not offer what it is made of: its version is pinned,
 * and tests look whether memory is used again, and at what arrives.
 */
export function byteConnections(memory: ReplyMemory): MongoClientOptions {
  const connectionType = class extends Connection {
    constructor(...options: never[]) {
      super(...options)
      if (this.messageStream.bufferPool !== undefined) this.messageStream.bufferPool = new ReplyAssembler(memory)
    }

    override async writeCommand(
      message: DriverMessage,
      options: { readonly agreedCompressor: string },
    ): Promise<unknown> {
      const { command } = message
      const documents = command?.documents
      const isPlain = documents instanceof driverCommands.DocumentSequence && options.agreedCompressor === 'none'
      if (!isPlain) return await super.writeCommand(message, options)
      delete command!.documents
      const pieces = [...(await message.toBin()), ...documents.chunks]
      // The length of the whole message comes first, and knows nothing of the documents.
      pieces[0]!.writeInt32LE(
        pieces.reduce((sum, { length }) => sum + length, 0),
        0,
      )
      this.socket.cork()
      for (const piece of pieces) this.socket.write(piece)
      this.socket.uncork()
      return undefined
    }
  }
  return { connectionType } as MongoClientOptions
}
