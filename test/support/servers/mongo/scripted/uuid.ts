import { randomUUID } from 'node:crypto'
import { Binary } from 'mongodb'

/** A random UUID as servers give to collections, users and index builds. */
export const newUuid = (): Binary =>
  new Binary(Buffer.from(randomUUID().replaceAll('-', ''), 'hex'), Binary.SUBTYPE_UUID)
