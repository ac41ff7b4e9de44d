import type { Backend } from '../backend.ts'
import { connectionsOf } from '../connections.ts'
import { withConnectionLimit } from '../layers/with-connection-limit.ts'
import { openHttp1 } from './http1-connection.ts'
import { parseRestLocation } from './rest-location.ts'
import { restStorage } from './rest-storage.ts'

/** As restic. */
const DEFAULT_CONNECTIONS = '5'

export const restBackend: Backend = {
  title: "restic's REST server",
  options: ['connections'],
  settings: [],
  open: ({ place, options, environment, network }) => {
    const { address, path, shown, ...named } = parseRestLocation(place)
    const connections = connectionsOf('rest', options.get('connections') ?? DEFAULT_CONNECTIONS)
    const isNamed = named.user !== undefined || named.password !== undefined
    const user = isNamed ? named.user : environment.RESTIC_REST_USERNAME || undefined
    const password = isNamed ? named.password : environment.RESTIC_REST_PASSWORD || undefined
    const { userAgent } = network
    const storage = restStorage(openHttp1(address, network), {
      location: shown,
      path,
      connections,
      user,
      password,
      userAgent,
    })
    return withConnectionLimit(storage, connections)
  },
}
