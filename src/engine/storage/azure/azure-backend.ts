import { HoldfastError } from '../../../lib/errors.ts'
import type { Backend } from '../backend.ts'
import { connectionsOf } from '../connections.ts'
import { withConnectionLimit } from '../layers/with-connection-limit.ts'
import { bucketPlaceOf } from '../object-names.ts'
import { accountOf } from './azure-account.ts'
import { openAzureStorage } from './azure-storage.ts'

const TIERS = ['Hot', 'Cool', 'Cold', 'Archive'] as const
const DEFAULT_CONNECTIONS = 5

export const azureBackend: Backend = {
  title: 'Azure Blob Storage',
  options: ['connections', 'access-tier'],
  settings: ['storageClass', 'lock'],
  open: ({ place, options, environment, settings, network, clock }) => {
    const connections = connectionsOf('azure', options.get('connections') ?? String(DEFAULT_CONNECTIONS))
    const storage = openAzureStorage({
      account: accountOf(environment),
      place: bucketPlaceOf('azure', 'container', place),
      connections,
      tier: tierOf(options.get('access-tier') ?? settings.storageClass),
      lock: settings.lock,
      network,
      clock,
    })
    return withConnectionLimit(storage, connections)
  },
}

function tierOf(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined
  const tier = TIERS.find((known) => known.toLowerCase() === text.toLowerCase())
  if (tier !== undefined) return tier
  throw new HoldfastError('HF_USAGE', `${JSON.stringify(text)} is no access tier`, {
    hint: `There are ${TIERS.join(', ')}.`,
  })
}
