import { BSON } from 'mongodb'
import type { AggregateAssertion } from '../../../config/assertion.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { AssertionAnswer } from '../../proof.ts'
import type { MongoConnection } from '../connection.ts'
import { codeOf } from '../server-error.ts'

/** So many results an expression can look at. */
const MAX_ROWS = 1000
const writing: ReadonlySet<string> = new Set(['$out', '$merge'])

/**
 * What an aggregation finds. Stages are in Extended JSON.
 * @throws HoldfastError HF_ASSERTION_INVALID when it writes, or the server refuses it
 */
export async function answerAggregation(
  connection: MongoConnection,
  database: string,
  { name, aggregate, collection }: AggregateAssertion,
): Promise<AssertionAnswer> {
  const writes = aggregate.flatMap((stage) => Object.keys(stage)).find((stage) => writing.has(stage))
  if (writes !== undefined) throw invalid(`${name}: ${writes} would write`)
  try {
    const reply = await connection.command(database, {
      aggregate: collection ?? 1,
      pipeline: aggregate.map((stage) => BSON.EJSON.deserialize(stage as BSON.Document)),
      cursor: { batchSize: MAX_ROWS },
    })
    const { firstBatch = [] } = (reply.cursor ?? {}) as { firstBatch?: readonly BSON.Document[] }
    const rows = firstBatch.map((row) => BSON.EJSON.serialize(row, { relaxed: true }) as Record<string, unknown>)
    return { value: firstValue(rows[0]), rows }
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    throw invalid(`${name}: ${(error as Error).message}`, error)
  }
}

/** The first field that is not the id of a group, else that. */
function firstValue(row: Record<string, unknown> | undefined): unknown {
  if (row === undefined) return null
  const [field = '_id'] = Object.keys(row).filter((key) => key !== '_id')
  return row[field] ?? null
}

const invalid = (what: string, cause?: unknown): HoldfastError =>
  new HoldfastError('HF_ASSERTION_INVALID', what, {
    cause,
    hint: 'assertions are aggregations that only read, with `database` and `collection`',
  })
