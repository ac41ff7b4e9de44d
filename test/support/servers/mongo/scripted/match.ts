import {
  arrayValues,
  asBoolean,
  asNumber,
  asString,
  elements,
  field,
  isNested,
  NULL,
  type RawValue,
  Type,
} from './bson.ts'
import { type CompareStrings, compareValues, typeRank } from './compare.ts'
import { MongoFailure } from './failure.ts'

/** Says of a document whether it is meant. */
export type Filter = (document: Buffer) => boolean

type Test = (values: readonly RawValue[]) => boolean

/**
 * The filter in a query.
 * @throws MongoFailure BadValue for operators this server does not have
 */
export function compileFilter(query: Buffer | undefined, strings?: CompareStrings): Filter {
  if (query === undefined) return () => true
  const filters = Array.from(elements(query), ({ name, value }) => compileClause(name, value, strings))
  if (filters.length === 0) return () => true
  if (filters.length === 1) return filters[0]!
  return (document) => filters.every((filter) => filter(document))
}

function compileClause(name: string, value: RawValue, strings: CompareStrings | undefined): Filter {
  if (name === '$comment') return () => true
  if (name === '$and' || name === '$or' || name === '$nor') {
    const filters = arrayValues(value).map(({ bytes }) => compileFilter(bytes, strings))
    if (name === '$and') return (document) => filters.every((filter) => filter(document))
    if (name === '$or') return (document) => filters.some((filter) => filter(document))
    return (document) => !filters.some((filter) => filter(document))
  }
  if (name.startsWith('$')) throw new MongoFailure(2, `unknown top level operator: ${name}`)
  const path = name.split('.')
  const test = compileTest(value, strings)
  return (document) => test(valuesAt(document, path))
}

function compileTest(value: RawValue, strings: CompareStrings | undefined): Test {
  const operators = value.type === Type.document ? [...elements(value.bytes)] : []
  if (operators[0]?.name.startsWith('$') !== true) return equalTo(value, strings)
  const options = operators.find(({ name }) => name === '$options')?.value
  const tests = operators
    .filter(({ name }) => name !== '$options')
    .map((operator) => compileOperator(operator.name, operator.value, options, strings))
  return (values) => tests.every((test) => test(values))
}

function compileOperator(
  name: string,
  operand: RawValue,
  options: RawValue | undefined,
  strings: CompareStrings | undefined,
): Test {
  switch (name) {
    case '$eq':
      return equalTo(operand, strings)
    case '$ne':
      return not(equalTo(operand, strings))
    case '$gt':
      return ordered(operand, (order) => order > 0, strings)
    case '$gte':
      return ordered(operand, (order) => order >= 0, strings)
    case '$lt':
      return ordered(operand, (order) => order < 0, strings)
    case '$lte':
      return ordered(operand, (order) => order <= 0, strings)
    case '$in':
    case '$nin': {
      const tests = arrayValues(operand).map((item) => equalTo(item, strings))
      const any: Test = (values) => tests.some((test) => test(values))
      return name === '$in' ? any : not(any)
    }
    case '$exists': {
      const wanted = asBoolean(operand)
      return (values) => values.length > 0 === wanted
    }
    case '$not':
      return not(compileTest(operand, strings))
    case '$type': {
      const wanted = (operand.type === Type.array ? arrayValues(operand) : [operand]).map(typeNumber)
      return (values) => values.some(({ type }) => wanted.includes(type))
    }
    case '$regex': {
      const pattern = new RegExp(asString(operand) ?? '', asString(options) ?? '')
      return (values) => values.some((value) => value.type === Type.string && pattern.test(asString(value)!))
    }
    default:
      throw new MongoFailure(2, `unknown operator: ${name}`)
  }
}

const not =
  (test: Test): Test =>
  (values) =>
    !test(values)

function equalTo(wanted: RawValue, strings: CompareStrings | undefined): Test {
  if (wanted.type === Type.regex) {
    const end = wanted.bytes.indexOf(0)
    const pattern = new RegExp(
      wanted.bytes.toString('utf8', 0, end),
      wanted.bytes.toString('utf8', end + 1, wanted.bytes.length - 1),
    )
    return (values) => values.some((value) => value.type === Type.string && pattern.test(asString(value)!))
  }
  return (values) =>
    values.length === 0
      ? wanted.type === Type.null
      : values.some((value) => compareValues(value, wanted, strings) === 0)
}

/** Ranges hold within one type, except with MinKey and MaxKey, which bound all. */
function ordered(bound: RawValue, holds: (order: number) => boolean, strings: CompareStrings | undefined): Test {
  const isOpen = bound.type === Type.minKey || bound.type === Type.maxKey
  return (values) =>
    (values.length === 0 ? [NULL] : values).some(
      (value) =>
        (isOpen || typeRank(value.type) === typeRank(bound.type)) && holds(compareValues(value, bound, strings)),
    )
}

const TYPE_NAMES: Readonly<Record<string, number>> = {
  double: 1,
  string: 2,
  object: 3,
  array: 4,
  binData: 5,
  objectId: 7,
  bool: 8,
  date: 9,
  null: 10,
  regex: 11,
  int: 16,
  timestamp: 17,
  long: 18,
  decimal: 19,
}

/** The number of a BSON type, of which a query says the name or the number. */
export function typeNumber(value: RawValue): number {
  return asNumber(value) ?? TYPE_NAMES[asString(value) ?? ''] ?? Number.NaN
}

/** What a path finds in a document: through arrays on its way, and for an array at its end also what is in it. */
export function valuesAt(document: Buffer, path: readonly string[]): readonly RawValue[] {
  const found: RawValue[] = []
  collect(document, path, 0, found)
  return found
}

function collect(container: Buffer, path: readonly string[], depth: number, found: RawValue[]): void {
  const value = field(container, path[depth]!)
  if (value === undefined) return
  if (depth === path.length - 1) {
    found.push(value)
    if (value.type === Type.array) found.push(...arrayValues(value))
    return
  }
  if (!isNested(value)) return
  collect(value.bytes, path, depth + 1, found)
  if (value.type !== Type.array) return
  for (const item of arrayValues(value)) if (item.type === Type.document) collect(item.bytes, path, depth + 1, found)
}
