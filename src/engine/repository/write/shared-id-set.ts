import { ID_BYTES } from '../../../lib/id.ts'

/** Words of one slot: its state, then the id. */
const SLOT_WORDS = 1 + ID_BYTES / 4
const EMPTY = 0
const BEING_WRITTEN = 1
const TAKEN = 2

const FIRST_SLOTS = 1 << 15
/** Beyond this share of slots a longer probe costs more than a new table. */
const FULL_SHARE = 0.6

/** The tables of a set, to be handed to other threads. */
export interface SharedIdSetMemory {
  readonly tables: readonly SharedArrayBuffer[]
}

/**
 * A set of ids that several threads add to at the same time without locks: an open-addressing table per generation, each twice as large
 * as the one before, the newest taking the new ids. A thread that has not yet heard of the newest generation goes on in the one before;
 * at worst an id is then claimed twice, which in a repository means a duplicate blob: legal and harmless.
 */
export class SharedIdSet {
  #tables: Int32Array[]

  constructor(memory?: SharedIdSetMemory) {
    this.#tables = (memory?.tables ?? [newTable(FIRST_SLOTS)]).map((table) => new Int32Array(table))
  }

  /** For other threads; share again after `grow`. */
  get memory(): SharedIdSetMemory {
    return { tables: this.#tables.map((table) => table.buffer as SharedArrayBuffer) }
  }

  /** Takes over tables that another thread has added. */
  adopt(memory: SharedIdSetMemory): void {
    if (memory.tables.length > this.#tables.length) this.#tables = memory.tables.map((table) => new Int32Array(table))
  }

  /** Adds a generation when the newest is nearly full; true when it did. Only ever called by one thread. */
  grow(): boolean {
    const newest = this.#tables.at(-1)!
    const slots = newest.length / SLOT_WORDS - 1
    if (Atomics.load(newest, slots * SLOT_WORDS) < slots * FULL_SHARE) return false
    this.#tables.push(new Int32Array(newTable(slots * 2)))
    return true
  }

  /** Adds the id that `source` has at `at`; true when it was not in the set, and then only for one of several threads. */
  claim(source: Uint8Array, at = 0): boolean {
    readId(source, at)
    for (let i = 0; i < this.#tables.length - 1; i++) if (probe(this.#tables[i]!, false) === 'present') return false
    return probe(this.#tables.at(-1)!, true) !== 'present'
  }

  has(source: Uint8Array, at = 0): boolean {
    readId(source, at)
    return this.#tables.some((table) => probe(table, false) === 'present')
  }
}

/** The id being looked for, as words; a set is used by one call at a time in each thread. */
const wanted = new Int32Array(ID_BYTES / 4)
const wantedBytes = new Uint8Array(wanted.buffer)

function readId(source: Uint8Array, at: number): void {
  for (let i = 0; i < ID_BYTES; i++) wantedBytes[i] = source[at + i]!
}

/** Slots, then one more whose first word counts the taken ones. */
const newTable = (slots: number): SharedArrayBuffer => new SharedArrayBuffer((slots + 1) * SLOT_WORDS * 4)

function probe(table: Int32Array, insert: boolean): 'present' | 'absent' | 'inserted' | 'full' {
  const slots = table.length / SLOT_WORDS - 1
  let slot = (wanted[0]! >>> 0) & (slots - 1)
  for (let tries = 0; tries < slots; tries++, slot = (slot + 1) & (slots - 1)) {
    const at = slot * SLOT_WORDS
    let state = Atomics.load(table, at)
    if (state === EMPTY) {
      if (!insert) return 'absent'
      state = Atomics.compareExchange(table, at, EMPTY, BEING_WRITTEN)
      if (state === EMPTY) {
        for (let i = 0; i < ID_BYTES / 4; i++) table[at + 1 + i] = wanted[i]!
        Atomics.store(table, at, TAKEN)
        Atomics.add(table, slots * SLOT_WORDS, 1)
        return 'inserted'
      }
    }
    while (state === BEING_WRITTEN) state = Atomics.load(table, at)
    if (sameId(table, at + 1)) return 'present'
  }
  return 'full'
}

function sameId(table: Int32Array, at: number): boolean {
  for (let i = 0; i < ID_BYTES / 4; i++) if (table[at + i] !== wanted[i]) return false
  return true
}
