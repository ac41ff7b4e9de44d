import { z } from 'zod'
import { parseExpectation } from './expectation.ts'

interface AssertionBase {
  readonly name: string
  /** A CEL expression over the result, which `parseExpectation` reads: `value > 0`. */
  readonly expect: string
}

export interface SqlAssertion extends AssertionBase {
  readonly kind: 'sql'
  readonly sql: string
  readonly database: string | undefined
}

export interface AggregateAssertion extends AssertionBase {
  readonly kind: 'aggregate'
  /** Stages of a MongoDB aggregation. */
  readonly aggregate: readonly Readonly<Record<string, unknown>>[]
  readonly database: string | undefined
  readonly collection: string | undefined
}

export interface CommandAssertion extends AssertionBase {
  readonly kind: 'command'
  /** A Redis command and its arguments. */
  readonly command: readonly string[]
}

export interface FileAssertion extends AssertionBase {
  readonly kind: 'file'
  readonly file: string
}

/** What the owner of a source says must hold in whatever was restored from it. */
export type Assertion = SqlAssertion | AggregateAssertion | CommandAssertion | FileAssertion

const text = z.string().min(1)

const writtenAssertion = z.strictObject({
  name: text,
  expect: text,
  sql: text.optional(),
  aggregate: z.array(z.record(z.string(), z.unknown())).optional(),
  command: z.array(z.string()).min(1).optional(),
  file: text.optional(),
  database: text.optional(),
  collection: text.optional(),
})

/** An assertion as it is written in holdfast.yaml. */
export const assertion: z.ZodType<Assertion> = writtenAssertion.transform((written, context) => {
  const { name, expect, sql, aggregate, command, file, database, collection } = written
  const found: Assertion[] = []
  if (sql !== undefined) found.push({ kind: 'sql', name, expect, sql, database })
  if (aggregate !== undefined) found.push({ kind: 'aggregate', name, expect, aggregate, database, collection })
  if (command !== undefined) found.push({ kind: 'command', name, expect, command })
  if (file !== undefined) found.push({ kind: 'file', name, expect, file })
  const only = found[0]
  const refuse = (message: string, path: string[] = []): void =>
    context.addIssue({ code: 'custom', message, path, input: written })
  if (only === undefined || found.length > 1) {
    refuse('must have exactly one of sql, aggregate, command, file')
    return z.NEVER
  }
  try {
    parseExpectation(expect)
  } catch (error) {
    refuse(`is no expression over value, rows and now: ${(error as Error).message}`, ['expect'])
  }
  if (database !== undefined && only.kind !== 'sql' && only.kind !== 'aggregate')
    refuse('goes with sql or aggregate only', ['database'])
  if (collection !== undefined && only.kind !== 'aggregate') refuse('goes with aggregate only', ['collection'])
  return only
})
