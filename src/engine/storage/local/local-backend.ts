import { HoldfastError } from '../../../lib/errors.ts'
import type { Backend } from '../backend.ts'
import { connectionsOf } from '../connections.ts'
import { openLocalStorage } from './local-storage.ts'

export const localBackend: Backend = {
  title: 'a local folder',
  options: ['connections'],
  settings: [],
  open: ({ place, options }) => {
    if (place === '')
      throw new HoldfastError('HF_STORAGE_LOCATION', 'local: names no folder', { hint: 'Write the path behind it.' })
    const connections = options.get('connections')
    return openLocalStorage(
      place,
      connections === undefined ? {} : { connections: connectionsOf('local', connections) },
    )
  },
}
