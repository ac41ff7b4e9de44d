import { doc, OK } from '../bson.ts'
import { bucketsOf } from '../catalog.ts'
import type { CommandTable, Context } from '../context.ts'
import type { WriteOptions } from '../datastore.ts'
import { checkName } from '../definitions.ts'
import { MongoFailure } from '../failure.ts'
import { addMeasurements } from '../time-series.ts'
import { MAX_WRITE_BATCH } from '../wire.ts'

/** Commands that write documents. */
export const writeCommands: CommandTable = {
  insert: {
    run: insert,
    isWrite: true,
    takes: ['documents', 'ordered', 'bypassDocumentValidation', 'bypassEmptyTsReplacement', 'maxTimeMS'],
  },
}

function insert(context: Context): Buffer {
  const { server, command } = context
  const { data } = server
  const name = command.collection()
  checkName(command.db, name)
  const documents = command.documents('documents')
  if (documents === undefined || documents.length === 0 || documents.length > MAX_WRITE_BATCH) {
    throw new MongoFailure(
      16,
      `Write batch sizes must be between 1 and ${MAX_WRITE_BATCH}. Got ${documents?.length ?? 0} operations.`,
    )
  }
  if (command.raw('bypassEmptyTsReplacement') !== undefined && !server.version.knowsBypassEmptyTsReplacement) {
    throw new MongoFailure(40_415, "BSON field 'insert.bypassEmptyTsReplacement' is an unknown field.")
  }
  const options: WriteOptions = {
    bypassDocumentValidation: command.flag('bypassDocumentValidation'),
    bypassEmptyTsReplacement: command.flag('bypassEmptyTsReplacement'),
    session: sessionFields(context),
  }
  const found = data.catalog.find(command.db, name)
  if (found?.kind === 'view') throw new MongoFailure(166, `Namespace ${command.db}.${name} is a view, not a collection`)
  if (found?.kind === 'timeseries') {
    addMeasurements(data, data.collectionForWrite(command.db, bucketsOf(name)), found.options, documents)
    return doc({ n: documents.length, ok: OK })
  }
  const collection = data.collectionForWrite(command.db, name)
  return eachWrite(documents, command.raw('ordered') === undefined || command.flag('ordered'), (document) => {
    data.insert(collection, document, options)
    return 1
  })
}

/** Runs the writes of a command: what fails is told by its place, and ends the command when it is ordered. */
export function eachWrite<T>(
  writes: readonly T[],
  isOrdered: boolean,
  write: (item: T, index: number) => number,
  more: () => Readonly<Record<string, unknown>> = () => ({}),
): Buffer {
  const errors: Buffer[] = []
  let n = 0
  for (const [index, item] of writes.entries()) {
    try {
      n += write(item, index)
    } catch (error) {
      if (!(error instanceof MongoFailure)) throw error
      errors.push(error.writeError(index))
      if (isOrdered) break
    }
  }
  return doc({ n, ...more(), ...(errors.length > 0 && { writeErrors: errors }), ok: OK })
}

/** What an oplog entry says of a retryable write. */
export function sessionFields({ server, command }: Context): Readonly<Record<string, unknown>> | undefined {
  const lsid = command.raw('lsid')
  const txnNumber = command.raw('txnNumber')
  if (lsid === undefined || txnNumber === undefined || server.data.oplog === undefined) return undefined
  return { lsid, txnNumber }
}
