/**
 * Runs `work` on each item, at most `width` at a time, in order of start. The first failure stops further starts and is thrown once the
 * running ones have ended.
 */
export async function forEachParallel<T>(
  items: Iterable<T> | AsyncIterable<T>,
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  let failed = false
  const lane = async (): Promise<void> => {
    while (!failed) {
      const next = await iterator.next()
      if (next.done || failed) return
      try {
        await work(next.value)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const lanes = await Promise.allSettled(Array.from({ length: Math.max(1, width) }, lane))
  for (const result of lanes) if (result.status === 'rejected') throw result.reason
}
