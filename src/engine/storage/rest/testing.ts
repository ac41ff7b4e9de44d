import { systemClock } from '../../../lib/clock.ts'
import { defaultNetwork, type NetworkSettings } from '../network.ts'
import type { Storage } from '../storage.ts'
import { restBackend } from './rest-backend.ts'

export interface RestOptions {
  readonly environment?: Readonly<Record<string, string>>
  readonly network?: Partial<NetworkSettings>
}

/** For tests: a store that makes one attempt for each call, as no layer is around it. */
export function openRest(place: string, { environment = {}, network = {} }: RestOptions = {}): Storage {
  return restBackend.open!({
    place,
    options: new Map(),
    environment,
    settings: {},
    network: { ...defaultNetwork, ...network },
    clock: systemClock,
    onNotice: () => undefined,
  })
}
