import { Environment } from '@marcbachmann/cel-js'

/** What an expectation can name. */
export interface ExpectationValues {
  /** The only, or first, value of the answer. */
  readonly value: unknown
  /** Everything that was answered: rows, documents, replies, lines. */
  readonly rows: readonly unknown[]
  readonly now: Date
}

/** Decides whether an answer is as it should be. @throws Error when it cannot be decided, as for `value > 0` of a text */
export type Expectation = (values: ExpectationValues) => boolean

const environment = new Environment({ unlistedVariablesAreDyn: false })
  .registerVariable('value', 'dyn')
  .registerVariable('rows', 'list')
  .registerVariable('now', 'google.protobuf.Timestamp')

/**
 * Reads an expression in CEL, the Common Expression Language (https://cel.dev), over `value`, `rows` and `now`.
 * @throws Error when it is none, names something else, or can come to anything but true or false
 */
export function parseExpectation(text: string): Expectation {
  const { valid, type, error } = environment.check(text)
  if (!valid) throw new Error(firstLine(error))
  if (type !== 'bool' && type !== 'dyn') throw new Error(`it comes to ${type}, not to true or false`)
  const evaluate = environment.parse(text)
  return (values) => {
    let result: unknown
    try {
      result = evaluate({ ...values, rows: [...values.rows] })
    } catch (error) {
      throw new Error(firstLine(error))
    }
    if (typeof result !== 'boolean') throw new Error('it does not come to true or false')
    return result
  }
}

/** Behind it the library draws the expression, which those who read this have before them. */
const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!
