import { asBoolean, asDocument, asString, elements, field, NULL, Type } from './bson.ts'
import { type Collation, collationOf } from './collation.ts'
import { valueKey } from './compare.ts'
import { MongoFailure } from './failure.ts'
import { compileFilter, type Filter, valuesAt } from './match.ts'

/** An index: its definition, and for a unique one the keys that are taken. */
export class Index {
  readonly name: string
  /** As `listIndexes` shows it. */
  readonly spec: Buffer
  readonly isUnique: boolean
  readonly #paths: readonly string[]
  readonly #isSparse: boolean
  readonly #isPartOf: Filter
  readonly #collation: Collation | undefined
  readonly #taken = new Map<string, number>()

  constructor(spec: Buffer) {
    this.spec = spec
    this.name = asString(field(spec, 'name')) ?? ''
    this.isUnique = asBoolean(field(spec, 'unique'))
    this.#paths = Array.from(elements(field(spec, 'key')!.bytes), ({ name }) => name)
    this.#isSparse = asBoolean(field(spec, 'sparse'))
    this.#isPartOf = compileFilter(asDocument(field(spec, 'partialFilterExpression')))
    this.#collation = collationOf(asDocument(field(spec, 'collation')))
  }

  /** @throws MongoFailure DuplicateKey when another document has one of its keys */
  add(document: Buffer, recordId: number, ns: string): void {
    const keys = this.#keys(document)
    for (const key of keys) {
      const owner = this.#taken.get(key)
      if (owner === undefined || owner === recordId) continue
      throw new MongoFailure(
        11_000,
        `E11000 duplicate key error collection: ${ns} index: ${this.name} dup key: ${key}`,
        {
          fields: { keyPattern: field(this.spec, 'key'), keyValue: {} },
        },
      )
    }
    for (const key of keys) this.#taken.set(key, recordId)
  }

  remove(document: Buffer, recordId: number): void {
    for (const key of this.#keys(document)) if (this.#taken.get(key) === recordId) this.#taken.delete(key)
  }

  #keys(document: Buffer): readonly string[] {
    if (!this.#isPartOf(document)) return []
    let keys: readonly string[] = ['']
    let isMissing = true
    for (const path of this.#paths) {
      const all = valuesAt(document, path.split('.'))
      if (all.length > 0) isMissing = false
      // An array is indexed by what is in it.
      const values = all.length === 0 ? [NULL] : all.length === 1 ? all : all.filter(({ type }) => type !== Type.array)
      keys = keys.flatMap((key) => values.map((value) => `${key}|${valueKey(value, this.#collation?.key)}`))
    }
    return isMissing && this.#isSparse ? [] : [...new Set(keys)]
  }
}
