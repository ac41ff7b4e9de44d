import {
  asBoolean,
  asDocument,
  asNumber,
  asString,
  doc,
  type Entry,
  elements,
  encode,
  field,
  NULL,
  type RawValue,
  Type,
} from './bson.ts'
import { valueKey } from './compare.ts'
import type { Server } from './context.ts'
import { compileExpression } from './expression.ts'
import { MongoFailure } from './failure.ts'
import { type Accumulator, makeAccumulator } from './group.ts'
import { compileFilter } from './match.ts'
import { compileProjection, sorted } from './shape.ts'

/** The namespace an aggregation begins with. */
export interface PipelineSource {
  readonly db: string
  /** Undefined for those that belong to no collection. */
  readonly name?: string
}

type Stage = (input: Iterable<Buffer>) => Iterable<Buffer>

/**
 * Runs the stages of an aggregation.
 * @throws MongoFailure for stages this server does not have
 */
export function runPipeline(
  server: Server,
  input: Iterable<Buffer>,
  stages: readonly Buffer[],
  source: PipelineSource,
): Iterable<Buffer> {
  let documents = input
  for (const stage of stages) {
    const [first] = elements(stage)
    if (first === undefined)
      throw new MongoFailure(40_323, 'A pipeline stage specification object must contain exactly one field.')
    documents = compileStage(server, first.name, first.value, source)(documents)
  }
  return documents
}

function compileStage(server: Server, name: string, operand: RawValue, source: PipelineSource): Stage {
  switch (name) {
    case '$match': {
      const matches = compileFilter(operand.bytes)
      return (input) => filtered(input, matches)
    }
    case '$sort':
      return (input) => sorted(input, operand.bytes, undefined)
    case '$limit':
      return (input) => limited(input, asNumber(operand)!)
    case '$skip':
      return (input) => skipped(input, asNumber(operand)!)
    case '$count':
      return (input) => counted(input, asString(operand)!)
    case '$project':
      return project(operand.bytes)
    case '$set':
    case '$addFields':
      return addFields(operand.bytes)
    case '$unset': {
      const names =
        operand.type === Type.array
          ? Array.from(elements(operand.bytes), (e) => asString(e.value)!)
          : [asString(operand)!]
      const drop = compileProjection(doc(names.map((dropped): Entry => [dropped, 0])))
      return (input) => mapped(input, drop)
    }
    case '$replaceRoot':
    case '$replaceWith': {
      const expression = compileExpression(name === '$replaceRoot' ? field(operand.bytes, 'newRoot')! : operand)
      return (input) => mapped(input, (document) => asDocument(expression(document))!)
    }
    case '$unwind':
      return unwind(asString(operand) ?? asString(field(operand.bytes, 'path'))!)
    case '$group':
      return (input) => group(input, operand.bytes)
    case '$sample':
      return (input) => sample(input, asNumber(field(operand.bytes, 'size'))!)
    case '$bucketAuto':
      return (input) => bucketAuto(input, operand.bytes)
    case '$collStats':
      return () => [collectionStatistics(server, source, operand.bytes)]
    default:
      throw new MongoFailure(40_324, `Unrecognized pipeline stage name: '${name}'`)
  }
}

function* filtered(input: Iterable<Buffer>, matches: (document: Buffer) => boolean): Generator<Buffer> {
  for (const document of input) if (matches(document)) yield document
}

function* mapped(input: Iterable<Buffer>, change: (document: Buffer) => Buffer): Generator<Buffer> {
  for (const document of input) yield change(document)
}

function* limited(input: Iterable<Buffer>, limit: number): Generator<Buffer> {
  let left = limit
  for (const document of input) {
    yield document
    if (--left === 0) return
  }
}

function* skipped(input: Iterable<Buffer>, skip: number): Generator<Buffer> {
  let left = skip
  for (const document of input) if (left-- <= 0) yield document
}

function* counted(input: Iterable<Buffer>, name: string): Generator<Buffer> {
  let n = 0
  for (const _ of input) n++
  if (n > 0) yield doc({ [name]: n })
}

function project(specification: Buffer): Stage {
  const fields = [...elements(specification)]
  const isComputed = ({ type }: RawValue): boolean => type === Type.string || type === Type.document
  if (!fields.some(({ value }) => isComputed(value))) {
    const keep = compileProjection(specification)
    return (input) => mapped(input, keep)
  }
  const compiled = fields.map(({ name, value }) => ({
    name,
    expression: isComputed(value)
      ? compileExpression(value)
      : (document: Buffer) => (asBoolean(value) ? field(document, name) : undefined),
  }))
  const names = new Set(fields.map(({ name }) => name))
  return (input) =>
    mapped(input, (document) =>
      doc([
        ['_id', names.has('_id') ? undefined : field(document, '_id')],
        ...compiled.map(({ name, expression }) => [name, expression(document)] as const),
      ]),
    )
}

function addFields(specification: Buffer): Stage {
  const compiled = Array.from(elements(specification), ({ name, value }) => [name, compileExpression(value)] as const)
  return (input) =>
    mapped(input, (document) => {
      const all = new Map<string, RawValue | undefined>(
        Array.from(elements(document), ({ name, value }) => [name, value]),
      )
      for (const [name, expression] of compiled) all.set(name, expression(document))
      return doc(all)
    })
}

function unwind(path: string): Stage {
  const name = path.slice(1)
  return function* (input) {
    for (const document of input) {
      const value = field(document, name)
      if (value === undefined || value.type === Type.null) continue
      const items = value.type === Type.array ? Array.from(elements(value.bytes), (item) => item.value) : [value]
      for (const item of items)
        yield doc(Array.from(elements(document), (e) => [e.name, e.name === name ? item : e.value] as const))
    }
  }
}

function* group(input: Iterable<Buffer>, specification: Buffer): Generator<Buffer> {
  const fields = [...elements(specification)]
  const idOf = compileExpression(fields.find(({ name }) => name === '_id')?.value ?? NULL)
  const outputs = fields.filter(({ name }) => name !== '_id')
  const groups = new Map<string, { readonly id: RawValue; readonly accumulators: readonly Accumulator[] }>()
  for (const document of input) {
    const id = idOf(document) ?? NULL
    const key = valueKey(id)
    const found = groups.get(key) ?? { id, accumulators: outputs.map(({ value }) => makeAccumulator(value)) }
    groups.set(key, found)
    for (const accumulator of found.accumulators) accumulator.add(document)
  }
  for (const { id, accumulators } of groups.values())
    yield doc([['_id', id], ...outputs.map(({ name }, position) => [name, accumulators[position]!.result()] as const)])
}

function sample(input: Iterable<Buffer>, size: number): readonly Buffer[] {
  const all = [...input]
  for (let at = 0; at < Math.min(size, all.length); at++) {
    const other = at + Math.floor(Math.random() * (all.length - at))
    const moved = all[at]!
    all[at] = all[other]!
    all[other] = moved
  }
  return all.slice(0, size)
}

/** Buckets of about as many documents each; equal values stay together. */
function* bucketAuto(input: Iterable<Buffer>, specification: Buffer): Generator<Buffer> {
  const expression = compileExpression(field(specification, 'groupBy')!)
  const wanted = asNumber(field(specification, 'buckets'))!
  const keyed = Array.from(input, (document) => doc({ v: expression(document) ?? NULL }))
  const values = sorted(keyed, doc({ v: 1 }), undefined).map((document) => field(document, 'v')!)
  const size = Math.max(1, Math.round(values.length / wanted))
  for (let from = 0; from < values.length; ) {
    let to = Math.min(values.length, from + size)
    while (to < values.length && valueKey(values[to]!) === valueKey(values[to - 1]!)) to++
    const max = values[to] ?? values[to - 1]!
    yield doc({ _id: { min: values[from], max }, count: to - from })
    from = to
  }
}

function collectionStatistics({ data, port }: Server, { db, name = '' }: PipelineSource, wanted: Buffer): Buffer {
  const collection = data.catalog.collection(db, name)
  if (collection === undefined)
    throw new MongoFailure(26, `Unable to retrieve count in $collStats stage :: Collection [${db}.${name}] not found.`)
  const { count, sizeBytes, isCapped } = collection
  const avgObjSize = count === 0 ? undefined : Math.floor(sizeBytes / count)
  return doc({
    ns: `${db}.${name}`,
    host: `127.0.0.1:${port}`,
    localTime: new Date(),
    ...(field(wanted, 'count') !== undefined && { count }),
    ...(field(wanted, 'storageStats') !== undefined && {
      storageStats: {
        size: encode(sizeBytes),
        count,
        avgObjSize,
        storageSize: encode(sizeBytes),
        capped: isCapped,
        nindexes: collection.indexes.length + 1,
      },
    }),
  })
}
