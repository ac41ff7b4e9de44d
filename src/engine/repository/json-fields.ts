import { HoldfastError } from '../../lib/errors.ts'
import { parseTime, type Timestamp, zeroTime } from '../../lib/go-time.ts'
import { type Id, isId } from '../../lib/id.ts'

/**
 * Fields of a small JSON file (snapshot, lock) read as restic reads them: absent and null fields are empty, unknown ones are ignored, a
 * wrong type is damage (HF_DATA_DAMAGED, naming `subject`).
 */
export class JsonFields {
  readonly #subject: string
  readonly #values: ReadonlyMap<string, unknown>

  constructor(json: unknown, subject: string) {
    this.#subject = subject
    if (typeof json !== 'object' || json === null || Array.isArray(json)) throw this.#damage('it is no JSON object')
    this.#values = new Map(Object.entries(json))
  }

  /** Parses a whole file. */
  static parse(bytes: Uint8Array, subject: string): JsonFields {
    let json: unknown
    try {
      json = JSON.parse(new TextDecoder().decode(bytes))
    } catch (cause) {
      throw new HoldfastError('HF_DATA_DAMAGED', `${subject} is damaged: it is no JSON`, { cause })
    }
    return new JsonFields(json, subject)
  }

  has(key: string): boolean {
    return (this.#values.get(key) ?? null) !== null
  }

  text(key: string): string {
    return this.#read(key, '', (value) => (typeof value === 'string' ? value : undefined))
  }

  texts(key: string): readonly string[] {
    return this.#read(key, [], (value) =>
      Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined,
    )
  }

  id(key: string): Id | undefined {
    return this.#read<Id | undefined>(key, undefined, (value) =>
      typeof value === 'string' && isId(value) ? value : undefined,
    )
  }

  /** A whole number that is not negative. */
  count(key: string): number {
    return this.#read(key, 0, (value) =>
      Number.isInteger(value) && (value as number) >= 0 ? (value as number) : undefined,
    )
  }

  flag(key: string): boolean {
    return this.#read(key, false, (value) => (typeof value === 'boolean' ? value : undefined))
  }

  time(key: string): Timestamp {
    return this.#read(key, zeroTime, (value) => (typeof value === 'string' ? parseTime(value) : undefined))
  }

  object(key: string): JsonFields {
    return new JsonFields(this.#values.get(key), `${this.#subject}, field ${key},`)
  }

  #read<T>(key: string, absent: T, convert: (value: unknown) => T | undefined): T {
    const value = this.#values.get(key) ?? null
    if (value === null) return absent
    const converted = convert(value)
    if (converted === undefined) throw this.#damage(`its field ${key} has an unusable value`)
    return converted
  }

  #damage(why: string): HoldfastError {
    return new HoldfastError('HF_DATA_DAMAGED', `${this.#subject} is damaged: ${why}`)
  }
}
