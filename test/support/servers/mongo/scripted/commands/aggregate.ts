import { asNumber, field } from '../bson.ts'
import type { CommandTable, Context } from '../context.ts'
import { MongoFailure } from '../failure.ts'
import { runPipeline } from '../pipeline.ts'
import { runQuery } from '../query.ts'
import { snapshotTime } from '../snapshot.ts'
import { batchSizeOf } from './definitions.ts'

export const aggregateCommands: CommandTable = {
  aggregate: {
    run: aggregate,
    takes: ['pipeline', 'cursor', 'explain', 'allowDiskUse', 'bypassDocumentValidation', 'collation', 'hint', 'let'],
  },
}

function aggregate({ server, command }: Context): Buffer {
  const cursor = command.document('cursor')
  if (cursor === undefined)
    throw new MongoFailure(9, "The 'cursor' option is required, except for aggregate with the explain argument")
  if (asNumber(command.raw('aggregate')) !== undefined)
    throw new MongoFailure(96, 'this server has no aggregations of a database')
  const { db } = command
  const name = command.collection()
  const atClusterTime = snapshotTime(server, command)
  const stages = command.documents('pipeline') ?? []
  // Its own source, which may stand on a namespace that a query could not read.
  const isStatistics = stages[0] !== undefined && field(stages[0], '$collStats') !== undefined
  const hint = command.raw('hint')
  const source = isStatistics ? undefined : runQuery(server, { db, name, hint, atClusterTime })
  const documents = runPipeline(server, source?.documents ?? [], stages, { db, name })
  return server.cursors.open(
    {
      ns: `${db}.${name}`,
      documents: documents[Symbol.iterator](),
      collection: source?.collection,
      atClusterTime,
      isSingleBatch: false,
    },
    batchSizeOf(cursor),
  )
}
