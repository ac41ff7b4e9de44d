/** Up to this many are cheaper to sort by insertion. */
const FEW = 10

/**
 * Sorts names by their bytes, in place: three-way radix quicksort (Bentley and Sedgewick, "Fast Algorithms for Sorting and Searching
 * Strings", 1997), which looks at each byte of a common beginning once and creates no strings.
 *
 * @param bytes memory that holds the names, each ended by NUL
 * @param starts offsets of the names in it; the first `count` are sorted
 */
export function sortNames(bytes: Uint8Array, starts: Uint32Array, count: number): void {
  sortRange(bytes, starts, 0, count, 0)
}

/** Sorts starts[from, to), whose names agree in their first `depth` bytes. Only smaller parts recurse, so the stack stays shallow. */
function sortRange(bytes: Uint8Array, starts: Uint32Array, first: number, end: number, depthSoFar: number): void {
  let from = first
  let to = end
  let depth = depthSoFar
  while (to - from > FEW) {
    const pivot = middleOf(
      bytes[starts[from]! + depth]!,
      bytes[starts[(from + to) >>> 1]! + depth]!,
      bytes[starts[to - 1]! + depth]!,
    )
    let less = from
    let greater = to
    for (let i = from; i < greater; ) {
      const start = starts[i]!
      const byte = bytes[start + depth]!
      if (byte < pivot) {
        starts[i++] = starts[less]!
        starts[less++] = start
      } else if (byte > pivot) {
        starts[i] = starts[--greater]!
        starts[greater] = start
      } else i++
    }
    // [from, less) is below the pivot, [less, greater) equal, [greater, to) above. Names that end here are equal and done.
    const equalDone = pivot === 0
    const below = less - from
    const equal = equalDone ? 0 : greater - less
    const above = to - greater
    if (equal >= below && equal >= above) {
      sortRange(bytes, starts, from, less, depth)
      sortRange(bytes, starts, greater, to, depth)
      from = less
      to = greater
      depth++
    } else {
      if (!equalDone) sortRange(bytes, starts, less, greater, depth + 1)
      if (below >= above) {
        sortRange(bytes, starts, greater, to, depth)
        to = less
      } else {
        sortRange(bytes, starts, from, less, depth)
        from = greater
      }
    }
  }
  insertionSort(bytes, starts, from, to, depth)
}

function insertionSort(bytes: Uint8Array, starts: Uint32Array, from: number, to: number, depth: number): void {
  for (let i = from + 1; i < to; i++) {
    const start = starts[i]!
    let at = i
    while (at > from && compareNames(bytes, starts[at - 1]! + depth, start + depth) > 0) {
      starts[at] = starts[at - 1]!
      at--
    }
    starts[at] = start
  }
}

/** Order of the NUL-terminated names at two places: negative, zero or positive. */
export function compareNames(bytes: Uint8Array, a: number, b: number): number {
  for (let i = 0; ; i++) {
    const byte = bytes[a + i]!
    const difference = byte - bytes[b + i]!
    if (difference !== 0 || byte === 0) return difference
  }
}

const middleOf = (a: number, b: number, c: number): number => Math.max(Math.min(a, b), Math.min(Math.max(a, b), c))
