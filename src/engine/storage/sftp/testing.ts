import { systemClock } from '../../../lib/clock.ts'
import { defaultNetwork } from '../network.ts'
import type { Storage } from '../storage.ts'
import { sftpBackend } from './sftp-backend.ts'

export interface SftpOptions {
  readonly environment?: Readonly<Record<string, string>>
  readonly options?: Readonly<Record<string, string>>
  readonly onNotice?: (text: string) => void
  readonly stuckRequestTimeoutMs?: number
}

/** For tests: a store that makes one attempt for each call, as no layer is around it. */
export function openSftp(
  location: string,
  server: { readonly environment: Readonly<Record<string, string>> },
  { environment = {}, options = {}, onNotice = () => undefined, stuckRequestTimeoutMs = 60_000 }: SftpOptions = {},
): Storage {
  return sftpBackend.open!({
    place: location.replace(/^sftp:/, ''),
    options: new Map(Object.entries(options)),
    environment: { ...server.environment, ...environment },
    settings: {},
    network: { ...defaultNetwork, stuckRequestTimeoutMs },
    clock: systemClock,
    onNotice,
  })
}
