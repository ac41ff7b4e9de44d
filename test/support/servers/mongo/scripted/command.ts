import { arrayValues, asBoolean, asDocument, asNumber, asString, elements, type RawValue, Type } from './bson.ts'
import { MongoFailure } from './failure.ts'
import type { Request } from './wire.ts'

/** Arguments that every command takes. */
const GENERIC: ReadonlySet<string> = new Set([
  '$db',
  '$readPreference',
  '$clusterTime',
  'lsid',
  'txnNumber',
  'autocommit',
  'startTransaction',
  'readConcern',
  'writeConcern',
  'maxTimeMS',
  'maxTimeMSOpOnly',
  'comment',
  'apiVersion',
  'apiStrict',
  'apiDeprecationErrors',
  'rawData',
  'help',
])

/** A command and its arguments, read with the checks a server makes. */
export class Command {
  readonly name: string
  readonly db: string
  readonly body: Buffer
  readonly #arguments: ReadonlyMap<string, RawValue>
  readonly #sequences: ReadonlyMap<string, readonly Buffer[]>

  /** @throws MongoFailure when it names no database */
  constructor({ body, sequences, isOld }: Pick<Request, 'body' | 'sequences' | 'isOld'>) {
    this.body = body
    this.#arguments = new Map(Array.from(elements(body), ({ name, value }) => [name, value]))
    this.#sequences = sequences
    this.name = this.#arguments.keys().next().value ?? ''
    const db = asString(this.#arguments.get('$db'))
    if (db === undefined && !isOld)
      throw new MongoFailure(40_414, "BSON field 'OP_MSG.$db' is missing but a required field")
    this.db = db ?? 'admin'
  }

  /** Refuses arguments that the command does not have. */
  allow(names: readonly string[]): void {
    for (const name of [...this.#arguments.keys(), ...this.#sequences.keys()]) {
      if (name === this.name || GENERIC.has(name) || names.includes(name)) continue
      throw new MongoFailure(40_415, `BSON field '${this.name}.${name}' is an unknown field.`)
    }
  }

  raw(name: string): RawValue | undefined {
    return this.#arguments.get(name)
  }

  number(name: string): number | undefined {
    const value = this.#arguments.get(name)
    const number = asNumber(value)
    if (value !== undefined && number === undefined) this.#mistyped(name, 'a number')
    return number
  }

  string(name: string): string | undefined {
    const value = this.#arguments.get(name)
    const text = asString(value)
    if (value !== undefined && text === undefined) this.#mistyped(name, 'a string')
    return text
  }

  /** An argument if it is a string. */
  text(name: string): string | undefined {
    return asString(this.#arguments.get(name))
  }

  flag(name: string): boolean {
    return asBoolean(this.#arguments.get(name))
  }

  document(name: string): Buffer | undefined {
    const value = this.#arguments.get(name)
    const document = asDocument(value)
    if (value !== undefined && document === undefined) this.#mistyped(name, 'an object')
    return document
  }

  /** The documents of an array or document sequence. */
  documents(name: string): readonly Buffer[] | undefined {
    const sequence = this.#sequences.get(name)
    if (sequence !== undefined) return sequence
    return this.values(name)?.map((item) => asDocument(item) ?? this.#mistyped(name, 'an array of objects'))
  }

  /** The values of an array. */
  values(name: string): readonly RawValue[] | undefined {
    const value = this.#arguments.get(name)
    if (value === undefined) return undefined
    if (value.type !== Type.array) this.#mistyped(name, 'an array')
    return arrayValues(value)
  }

  /** The collection that the command's first argument names. */
  collection(): string {
    const name = this.string(this.name)
    if (name === undefined || name === '') throw new MongoFailure(73, `Invalid namespace specified '${this.db}.'`)
    return name
  }

  #mistyped(name: string, expected: string): never {
    throw new MongoFailure(14, `BSON field '${this.name}.${name}' is of the wrong type, expected ${expected}`)
  }
}
