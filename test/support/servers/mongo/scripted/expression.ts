import {
  asBoolean,
  asNumber,
  asString,
  doc,
  elements,
  encode,
  field,
  isNested,
  NULL,
  type RawValue,
  Type,
} from './bson.ts'
import { compareValues } from './compare.ts'
import { MongoFailure } from './failure.ts'

/** Computes a value out of a document; undefined where a field is missing. */
export type Expression = (document: Buffer) => RawValue | undefined

/**
 * An expression of an aggregation.
 * @throws MongoFailure for operators this server does not have
 */
export function compileExpression(value: RawValue): Expression {
  const text = value.type === Type.string ? asString(value)! : undefined
  if (text === '$$ROOT' || text === '$$CURRENT') return (document) => encode(document)
  if (text?.startsWith('$$')) throw new MongoFailure(17_276, `Use of undefined variable: ${text.slice(2)}`)
  if (text?.startsWith('$')) {
    const path = text.slice(1).split('.')
    return (document) => valueAt(encode(document), path)
  }
  if (value.type === Type.array) {
    const items = Array.from(elements(value.bytes), (item) => compileExpression(item.value))
    return (document) => encode(items.map((item) => item(document) ?? NULL))
  }
  if (value.type !== Type.document) return () => value
  const parts = [...elements(value.bytes)]
  if (parts[0]?.name.startsWith('$') === true) return compileOperator(parts[0].name, parts[0].value)
  const compiled = parts.map((part) => [part.name, compileExpression(part.value)] as const)
  return (document) => encode(doc(compiled.map(([name, expression]) => [name, expression(document)] as const)))
}

function valueAt(value: RawValue, path: readonly string[]): RawValue | undefined {
  let found: RawValue | undefined = value
  for (const name of path) found = found !== undefined && isNested(found) ? field(found.bytes, name) : undefined
  return found
}

function compileOperator(name: string, operand: RawValue): Expression {
  if (name === '$literal') return () => operand
  const inputs = (
    operand.type === Type.array ? Array.from(elements(operand.bytes), (item) => item.value) : [operand]
  ).map(compileExpression)
  const operator = OPERATORS[name]
  if (operator === undefined) throw new MongoFailure(168, `Unrecognized expression '${name}'`)
  return (document) => operator(inputs.map((input) => input(document)))
}

type Operator = (values: readonly (RawValue | undefined)[]) => RawValue | undefined

const compared =
  (holds: (order: number) => boolean): Operator =>
  ([a, b]) =>
    encode(holds(compareValues(a ?? NULL, b ?? NULL)))

const OPERATORS: Readonly<Record<string, Operator>> = {
  $bsonSize: ([value]) => (value === undefined ? NULL : encode(value.bytes.length)),
  $add: (values) => encode(values.reduce((sum, value) => sum + (asNumber(value) ?? 0), 0)),
  $multiply: (values) => encode(values.reduce((product, value) => product * (asNumber(value) ?? 0), 1)),
  $concat: (values) => encode(values.map((value) => asString(value) ?? '').join('')),
  $toUpper: ([value]) => encode((asString(value) ?? '').toUpperCase()),
  $ifNull: (values) => values.find((value) => value !== undefined && value.type !== Type.null),
  $size: ([value]) => encode(value?.type === Type.array ? [...elements(value.bytes)].length : 0),
  $eq: compared((order) => order === 0),
  $ne: compared((order) => order !== 0),
  $gt: compared((order) => order > 0),
  $gte: compared((order) => order >= 0),
  $lt: compared((order) => order < 0),
  $lte: compared((order) => order <= 0),
  $and: (values) => encode(values.every(asBoolean)),
  $or: (values) => encode(values.some(asBoolean)),
  $not: ([value]) => encode(!asBoolean(value)),
}
