import type { SourceServices } from '../source.ts'
import type { Endpoint } from './endpoint.ts'
import { userPassword } from './password-file.ts'
import { readService } from './service-file.ts'
import { endpointDefaults, type PostgresSettings } from './settings.ts'

/**
 * Settings whose endpoint has what the service file says.
 * @throws HoldfastError HF_USAGE when it says nothing, or what cannot be used
 */
export function withService(settings: PostgresSettings): PostgresSettings {
  const { service } = settings
  if (service === undefined) return settings
  const endpoint: Endpoint = {
    ...endpointDefaults,
    host: 'localhost',
    ...readService(service.name).endpoint,
    ...service.given,
  }
  return { ...settings, endpoint }
}

/** The password of a source: the configured one, else that of its service, else what the user keeps for the server. */
export async function passwordOf(
  { password, service, endpoint }: PostgresSettings,
  { secret }: Pick<SourceServices, 'secret'>,
): Promise<string | undefined> {
  if (password !== undefined) return await secret(password)
  return (service && readService(service.name).password) ?? userPassword(endpoint)
}
