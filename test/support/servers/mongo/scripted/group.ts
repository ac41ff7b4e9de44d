import { asNumber, elements, encode, NULL, type RawValue, Type } from './bson.ts'
import { compareValues, valueKey } from './compare.ts'
import { compileExpression } from './expression.ts'
import { MongoFailure } from './failure.ts'

/** Makes one value out of those of a group. */
export interface Accumulator {
  readonly add: (document: Buffer) => void
  readonly result: () => RawValue
}

/** @throws MongoFailure for operators this server does not have */
export function makeAccumulator(specification: RawValue): Accumulator {
  const [first] = specification.type === Type.document ? elements(specification.bytes) : []
  if (first === undefined) throw new MongoFailure(40_234, 'The field must be an accumulator object')
  if (first.name === '$count') return makeSum(() => encode(1))
  const expression = compileExpression(first.value)
  switch (first.name) {
    case '$sum':
      return makeSum(expression)
    case '$avg':
      return makeAverage(expression)
    case '$min':
      return makeChoice(expression, (order) => order < 0)
    case '$max':
      return makeChoice(expression, (order) => order > 0)
    case '$first':
      return makeChoice(
        (document) => expression(document) ?? NULL,
        () => false,
      )
    case '$last':
      return makeChoice(
        (document) => expression(document) ?? NULL,
        () => true,
      )
    case '$push':
    case '$addToSet':
      return makeList(expression, first.name === '$addToSet')
    default:
      throw new MongoFailure(15_952, `unknown group operator '${first.name}'`)
  }
}

type Input = (document: Buffer) => RawValue | undefined

function makeSum(input: Input): Accumulator {
  let sum = 0
  return {
    add: (document) => {
      sum += asNumber(input(document)) ?? 0
    },
    result: () => encode(sum),
  }
}

function makeAverage(input: Input): Accumulator {
  let sum = 0
  let count = 0
  return {
    add: (document) => {
      const number = asNumber(input(document))
      if (number === undefined) return
      sum += number
      count++
    },
    result: () => (count === 0 ? NULL : encode(sum / count)),
  }
}

/** Keeps the first value, and later ones that are better. */
function makeChoice(input: Input, isBetter: (order: number) => boolean): Accumulator {
  let kept: RawValue | undefined
  return {
    add: (document) => {
      const value = input(document)
      if (value === undefined) return
      if (kept === undefined || isBetter(compareValues(value, kept))) kept = value
    },
    result: () => kept ?? NULL,
  }
}

function makeList(input: Input, isSet: boolean): Accumulator {
  const values: RawValue[] = []
  const seen = new Set<string>()
  return {
    add: (document) => {
      const value = input(document)
      if (value === undefined || (isSet && seen.has(valueKey(value)))) return
      seen.add(valueKey(value))
      values.push(value)
    },
    result: () => encode(values),
  }
}
