import type { FileRef, Storage } from '../storage.ts'
import type { WriteGate } from '../write-gate.ts'

/**
 * Every change of the store waits at `gate`, also those that threads make in a directory of this machine. Locks pass: they are what opens
 * it.
 */
export function withWriteGate(storage: Storage, gate: WriteGate): Storage {
  const { directory } = storage.properties
  const waits = async ({ kind }: FileRef): Promise<void> => {
    if (kind !== 'lock') await gate.passed()
  }
  return {
    location: storage.location,
    properties: directory
      ? { ...storage.properties, directory: { ...directory, gate: gate.memory } }
      : storage.properties,
    features: storage.features,
    create: (options) => storage.create(options),
    put: async (file, content, options) => {
      await waits(file)
      await storage.put(file, content, options)
    },
    get: (file, range, options) => storage.get(file, range, options),
    stat: (file, options) => storage.stat(file, options),
    list: (kind, options) => storage.list(kind, options),
    delete: async (file, options) => {
      await waits(file)
      await storage.delete(file, options)
    },
    close: () => storage.close(),
  }
}
