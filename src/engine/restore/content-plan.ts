import type { DataBlobs } from './data-blobs.ts'
import type { EntryTable } from './entry-table.ts'

/** A task of packs on this machine ends when it has come to this many stored bytes, so that threads finish together, */
const TASK_STORED_BYTES = 16 * 1024 * 1024
/** or writes this much, as highly compressed and often repeated blobs do, */
const TASK_WRITTEN_BYTES = 64 * 1024 * 1024
/** or to this many places: making a file takes its time however small it is, */
const TASK_PLACES = 2048
/** or touches this many files of several blobs: all of them may be open at the same time. */
const TASK_LONG_FILES = 128

/**
 * Every place blobs are to be written to, on shared memory, ordered by pack and by where the blob lies in it; places of the same blob are
 * neighbours.
 */
export interface Placements {
  readonly row: Uint32Array
  readonly entry: Uint32Array
  /** Where in the file. */
  readonly offset: Float64Array
}

/** A piece of work for one thread: placements `from` to `to`, all of blobs in one pack. */
export interface PackTask {
  /** Number of the pack in the index. */
  readonly pack: number
  readonly from: number
  readonly to: number
  /** Files written to by this task and others, too, or changed in place: they are opened once for all. */
  readonly shared: readonly number[]
}

export interface ContentPlan {
  readonly placements: Placements
  /** In the order in which files need the packs. */
  readonly tasks: readonly PackTask[]
  /** How many tasks write to each of the shared files. */
  readonly tasksOfShared: ReadonlyMap<number, number>
}

/** Blobs that are right already, of files changed in place: a byte for each blob of the file, not 0 when it is. */
export type PresentBlobs = ReadonlyMap<number, Uint8Array>

/** How far apart the blobs of a task may lie in their pack. */
export interface TaskReach {
  /** From the first one's beginning to the last one's end. */
  readonly bytes: number
  /** Between two of them. */
  readonly gapBytes: number
}

/**
 * Orders the writing of all content: each pack is read once from its beginning to its end, each blob once for all places.
 * @param reach when the bytes of a task are fetched with one request; a blob that is larger by itself is a task of its own
 */
export function planContent(
  table: EntryTable,
  content: Uint32Array,
  rows: DataBlobs,
  packCount: number,
  present: PresentBlobs,
  reach?: TaskReach,
): ContentPlan {
  const unordered = collectPlacements(table, content, rows, present)
  const { order, packs } = orderPlacements(unordered, rows, packCount)
  const placements = allocatePlacements(order.length)
  for (let at = 0; at < order.length; at++) {
    const from = order[at]!
    placements.row[at] = unordered.row[from]!
    placements.entry[at] = unordered.entry[from]!
    placements.offset[at] = unordered.offset[from]!
  }
  const cuts = cutTasks(placements, packs, table, rows, reach)
  return { placements, ...findShared(cuts, placements, table) }
}

function allocatePlacements(count: number): Placements {
  return {
    row: new Uint32Array(new SharedArrayBuffer(count * 4)),
    entry: new Uint32Array(new SharedArrayBuffer(count * 4)),
    offset: new Float64Array(new SharedArrayBuffer(count * 8)),
  }
}

/** Placements in the order of entries. */
function collectPlacements(
  table: EntryTable,
  content: Uint32Array,
  rows: DataBlobs,
  present: PresentBlobs,
): { row: Uint32Array; entry: Uint32Array; offset: Float64Array; count: number } {
  const row = new Uint32Array(content.length)
  const entry = new Uint32Array(content.length)
  const offset = new Float64Array(content.length)
  let count = 0
  for (let e = 0; e < table.count; e++) {
    const start = table.contentStart(e)
    const end = table.contentEnd(e)
    if (start === end) continue
    const action = table.action(e)
    if (action === 'adjust' || action === 'skip') continue
    const matches = present.get(e)
    let position = 0
    for (let at = start; at < end; at++) {
      if (matches === undefined || matches[at - start] === 0) {
        row[count] = content[at]!
        entry[count] = e
        offset[count] = position
        count++
      }
      position += rows.plaintextLength(content[at]!)
    }
  }
  return { row, entry, offset, count }
}

/** Where the placements of a pack begin in the order; the last one is the end. */
interface PackStart {
  readonly pack: number
  readonly start: number
}

/** Placements by pack in the order of first use, then by place in the pack, then as they come. */
function orderPlacements(
  unordered: { readonly row: Uint32Array; readonly count: number },
  rows: DataBlobs,
  packCount: number,
): { order: Uint32Array; packs: readonly PackStart[] } {
  const { row, count } = unordered
  const rankOfPack = new Int32Array(packCount).fill(-1)
  const rank = new Uint32Array(count)
  const packOfRank: number[] = []
  const sizes: number[] = []
  for (let i = 0; i < count; i++) {
    const pack = rows.pack(row[i]!)
    let found = rankOfPack[pack]!
    if (found < 0) {
      found = packOfRank.length
      rankOfPack[pack] = found
      packOfRank.push(pack)
      sizes.push(0)
    }
    rank[i] = found
    sizes[found]!++
  }
  const packs: PackStart[] = []
  const next: number[] = []
  let start = 0
  for (const [r, pack] of packOfRank.entries()) {
    packs.push({ pack, start })
    next.push(start)
    start += sizes[r]!
  }
  packs.push({ pack: -1, start: count })
  const order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[next[rank[i]!]!++] = i
  for (const [r] of packOfRank.entries()) {
    const segment = order.subarray(packs[r]!.start, packs[r + 1]!.start)
    sortByKey(segment, (i) => rows.offset(row[i]!))
  }
  return { order, packs }
}

/** Numbers up to this fit beside a 32-bit key into the 53 bits of a double. */
const KEYED_SORT_LIMIT = 2 ** 21

/** Sorts `items` by a key below 2^32, equal keys in the given order. */
function sortByKey(items: Uint32Array, keyOf: (item: number) => number): void {
  if (items.length > KEYED_SORT_LIMIT) {
    items.sort((a, b) => keyOf(a) - keyOf(b) || a - b)
    return
  }
  const keyed = new Float64Array(items.length)
  for (let i = 0; i < items.length; i++) keyed[i] = keyOf(items[i]!) * KEYED_SORT_LIMIT + i
  keyed.sort()
  const before = items.slice()
  for (let i = 0; i < items.length; i++) items[i] = before[keyed[i]! % KEYED_SORT_LIMIT]!
}

interface Cut {
  readonly pack: number
  readonly from: number
  readonly to: number
}

function cutTasks(
  placements: Placements,
  packs: readonly PackStart[],
  table: EntryTable,
  rows: DataBlobs,
  reach: TaskReach | undefined,
): Cut[] {
  const cuts: Cut[] = []
  for (let p = 0; p + 1 < packs.length; p++) {
    const { pack, start } = packs[p]!
    const end = packs[p + 1]!.start
    let from = start
    let stored = 0
    let written = 0
    let longFiles = new Set<number>()
    let lastEntry = -1
    let readTo = 0
    for (let at = start; at < end; at++) {
      const row = placements.row[at]!
      const entry = placements.entry[at]!
      const blobEnd = rows.offset(row) + rows.length(row)
      const isBeyond =
        reach !== undefined &&
        at > from &&
        row !== placements.row[at - 1] &&
        (rows.offset(row) - readTo > reach.gapBytes || blobEnd - rows.offset(placements.row[from]!) > reach.bytes)
      readTo = Math.max(at === from ? 0 : readTo, blobEnd)
      const isFull = isBeyond || stored >= TASK_STORED_BYTES || written >= TASK_WRITTEN_BYTES
      if (isFull || at - from >= TASK_PLACES || longFiles.size >= TASK_LONG_FILES) {
        cuts.push({ pack, from, to: at })
        from = at
        stored = 0
        written = 0
        longFiles = new Set()
        lastEntry = -1
      }
      if (at === from || row !== placements.row[at - 1]) stored += rows.length(row)
      written += rows.plaintextLength(row)
      // Most placements are of the same file as the one before.
      if (entry === lastEntry) continue
      lastEntry = entry
      if (table.contentEnd(entry) - table.contentStart(entry) > 1) longFiles.add(entry)
    }
    cuts.push({ pack, from, to: end })
  }
  return cuts
}

/** Finds which files several tasks write to. */
function findShared(
  cuts: readonly Cut[],
  placements: Placements,
  table: EntryTable,
): { tasks: PackTask[]; tasksOfShared: Map<number, number> } {
  // 1 + the first task that writes to an entry.
  const firstTask = new Uint32Array(table.count)
  const isShared = new Uint8Array(table.count)
  for (const [task, { from, to }] of cuts.entries())
    for (let at = from; at < to; at++) {
      const entry = placements.entry[at]!
      if (firstTask[entry] === 0) {
        firstTask[entry] = task + 1
        if (table.action(entry) === 'update') isShared[entry] = 1
      } else if (firstTask[entry] !== task + 1) isShared[entry] = 1
    }
  const tasksOfShared = new Map<number, number>()
  const tasks = cuts.map((cut) => {
    const shared = new Set<number>()
    let lastEntry = -1
    for (let at = cut.from; at < cut.to; at++) {
      const entry = placements.entry[at]!
      if (entry === lastEntry) continue
      lastEntry = entry
      if (isShared[entry] === 1) shared.add(entry)
    }
    for (const entry of shared) tasksOfShared.set(entry, (tasksOfShared.get(entry) ?? 0) + 1)
    return { ...cut, shared: [...shared] }
  })
  return { tasks, tasksOfShared }
}
